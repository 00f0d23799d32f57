-- A small Redis client on cosockets: connect, send commands together, give the
-- connection back.

local resp = require "resty.certfleet.resp"

local concat, sub = table.concat, string.sub

local _M = {}
local Client = {}
Client.__index = Client

local MAX_REPLY = 8388608 -- bytes of one exchange

local function dial(sock, o)
    local pool = { pool = o.pool, pool_size = o.pool_size or 100 }
    if o.socket then
        return sock:connect("unix:" .. o.socket, pool)
    end
    return sock:connect(o.host, o.port, pool)
end

-- A pooled connection has been through this already.
local function greet(client, o)
    local commands = {}
    if o.password then
        commands[1] = o.user and { "AUTH", o.user, o.password } or { "AUTH", o.password }
    end
    if o.database and o.database > 0 then
        commands[#commands + 1] = { "SELECT", o.database }
    end
    if #commands == 0 then
        return true
    end
    local replies, err = client:pipeline(commands)
    if not replies then
        return nil, err
    end
    for i = 1, #replies do
        if type(replies[i]) == "table" then
            return nil, commands[i][1] .. ": " .. tostring(replies[i].error)
        end
    end
    return true
end

local function pool_of(o)
    local server = { "certfleet", o.socket or o.host, tostring(o.port), o.user or "", tostring(o.database), o.tls and "tls" or "" }
    return concat(server, ":") .. ":" .. (o.renewed or 0)
end

-- renew leaves all pooled connections alone, which then end idle: where packets
-- vanished on one, they vanish on the others too.
function _M.renew(o)
    o.renewed, o.pool = (o.renewed or 0) + 1, nil
end

-- connect answers a client that is ready, or nil and what went wrong. Options
-- are those of url.redis, and connect_timeout, read_timeout (milliseconds),
-- ssl_verify, server_name and pool_size.
function _M.connect(o)
    local sock, err = ngx.socket.tcp()
    if not sock then
        return nil, err
    end
    sock:settimeouts(o.connect_timeout, o.read_timeout, o.read_timeout)
    o.pool = o.pool or pool_of(o)
    local ok
    ok, err = dial(sock, o)
    if not ok then
        return nil, "connect: " .. tostring(err)
    end
    local client = setmetatable({ sock = sock, buffer = "" }, Client)
    local times = sock:getreusedtimes()
    if times and times > 0 then
        client.reused = true
        return client
    end
    if o.tls then
        ok, err = sock:sslhandshake(nil, o.server_name or o.host, o.ssl_verify ~= false)
        if not ok then
            return client:fail("TLS: " .. tostring(err))
        end
    end
    ok, err = greet(client, o)
    if not ok then
        return client:fail(err)
    end
    return client
end

function Client:fail(err)
    self.sock:close()
    return nil, err
end

-- read answers the next reply; nil and an error when none comes in time. What
-- came of a reply that is not whole stays for the next call.
function Client:read()
    while true do
        local reply, following, err = resp.decode(self.buffer, 1)
        if following then
            self.buffer = sub(self.buffer, following)
            return reply
        end
        local data
        if not err then
            data, err = self.sock:receiveany(65536)
        end
        if not data then
            return nil, err
        end
        if #self.buffer + #data > MAX_REPLY then
            return nil, "reply too long"
        end
        self.buffer = self.buffer .. data
    end
end

-- pipeline sends all commands in one write and answers as many replies. After
-- an error the connection is closed.
function Client:pipeline(commands)
    local out = {}
    for i = 1, #commands do
        out[i] = resp.encode(commands[i])
    end
    local sent, err = self.sock:send(concat(out))
    if not sent then
        return self:fail("send: " .. tostring(err))
    end
    local replies = {}
    for i = 1, #commands do
        replies[i], err = self:read()
        if replies[i] == nil then
            return self:fail("read: " .. tostring(err))
        end
    end
    return replies
end

-- keepalive gives the connection to the pool: ten idle seconds, a hundred of them.
function Client:keepalive(idle, size)
    if self.buffer ~= "" then
        return self.sock:close()
    end
    return self.sock:setkeepalive(idle or 10000, size or 100)
end

function Client:close()
    return self.sock:close()
end

return _M

-- Listens in Redis for names that changed. One worker does it for all.

local redis = require "resty.certfleet.redis"
local sni = require "resty.certfleet.sni"

local _M = {}

local BEAT = 1000 -- milliseconds of one read, so that a worker that ends is not held up
local QUIET = 30 -- beats without a word before the connection is asked whether it lives
local PAUSE = 1 -- seconds between two tries to connect

local function hear(fleet, message)
    if type(message) ~= "table" or message[1] ~= "message" then
        return
    end
    local number, names = tostring(message[3]):match("^(%d+) (.*)$")
    if not number then
        return
    end
    fleet.o.dict:set("heard", number)
    for name in names:gmatch("%S+") do
        if name == "*" then
            fleet:expire(nil)
        elseif sni.is_entry(name) then
            fleet:expire(name)
        end
    end
end

local function connect(o)
    local settings = setmetatable({ pool = "certfleet-listen:" .. tostring(o.redis.port), read_timeout = BEAT }, { __index = o.redis })
    local client, err = redis.connect(settings)
    if not client then
        return nil, err
    end
    local replies
    replies, err = client:pipeline({ { "SUBSCRIBE", o.prefix .. "certfleet:changed" } })
    if not replies then
        return nil, err
    end
    if replies[1].error then
        client:close()
        return nil, replies[1].error
    end
    return client
end

-- missed says whether something changed while nobody listened: messages carry a
-- number, and Redis knows the last one. It is asked after the subscription
-- stands, so that nothing falls between the two.
local function missed(o)
    local client, err = redis.connect(o.redis)
    if not client then
        return nil, err
    end
    local replies
    replies, err = client:pipeline({ { "GET", o.prefix .. "certfleet:changes" } })
    if not replies then
        return nil, err
    end
    client:keepalive()
    local last = type(replies[1]) == "string" and replies[1] or "none"
    local heard = o.dict:get("heard")
    o.dict:set("heard", last)
    return heard ~= nil and heard ~= last
end

-- follow reads until the connection breaks or the worker ends. Two silences in
-- a row, with a PING between, mean that nobody is there.
local function follow(fleet, client)
    local beats = 0
    while not ngx.worker.exiting() do
        local message, err = client:read()
        if message then
            beats = 0
            hear(fleet, message)
        elseif err ~= "timeout" then
            return err
        else
            beats = beats + 1
            if beats == QUIET then
                client.sock:send("*1\r\n$4\r\nPING\r\n")
            elseif beats > QUIET + 5 then
                return "silence"
            end
        end
    end
end

local function once(fleet, o)
    local client, err = connect(o)
    if not client then
        return err
    end
    local lost
    lost, err = missed(o)
    if lost then
        fleet:expire(nil)
    end
    err = err or follow(fleet, client)
    client:close()
    return err or "it ended"
end

-- run is the loop of the one worker that listens. Changes that it missed make
-- everything doubtful, for it is not known which they were.
function _M.run(fleet)
    while not ngx.worker.exiting() do
        local ok, err = pcall(once, fleet, fleet.o)
        if not ok then
            err = "error: " .. tostring(err)
        end
        if not ngx.worker.exiting() then
            ngx.log(ngx.WARN, "certfleet: listen in Redis: ", err)
            ngx.sleep(PAUSE)
        end
    end
end

return _M

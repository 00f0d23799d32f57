-- A small HTTP/1.1 client on cosockets, for one configured server: a status, and
-- a body of bounded size.

local concat, lower = table.concat, string.lower

local _M = {}

local MAX_BODY, MAX_HEADERS = 1048576, 100

-- bounded is the socket whose waits end together, so that an answer which comes
-- letter by letter holds nobody longer than one that does not come.
local function bounded(sock, timeout)
    local till = ngx.now() + timeout / 1000
    local function wait(method)
        return function(_, ...)
            local left = math.floor((till - ngx.now()) * 1000)
            if left <= 0 then
                return nil, "timeout"
            end
            sock:settimeout(left)
            return sock[method](sock, ...)
        end
    end
    return { send = wait("send"), receive = wait("receive"), receiveany = wait("receiveany") }
end

local function read_headers(sock)
    local headers = {}
    for _ = 1, MAX_HEADERS do
        local line, err = sock:receive("*l")
        if not line then
            return nil, err
        end
        if line == "" then
            return headers
        end
        local name, value = line:match("^([^:]+):%s*(.-)%s*$")
        if name then
            headers[lower(name)] = value
        end
    end
    return nil, "too many headers"
end

local function read_chunks(sock)
    local out, total = {}, 0
    while true do
        local line, err = sock:receive("*l")
        local digits = line and line:match("^%x+")
        local size = digits and tonumber(digits, 16)
        if not size then
            return nil, err or "bad chunk"
        end
        total = total + size
        if total > MAX_BODY then
            return nil, "body too long"
        end
        if size == 0 then
            local _, trailer = read_headers(sock)
            return not trailer and concat(out) or nil, trailer
        end
        out[#out + 1], err = sock:receive(size)
        if err then
            return nil, err
        end
        sock:receive("*l")
    end
end

local function read_all(sock)
    local out, total = {}, 0
    while total <= MAX_BODY do
        local data, err = sock:receiveany(65536)
        if not data then
            if err == "closed" then
                return concat(out)
            end
            return nil, err
        end
        out[#out + 1], total = data, total + #data
    end
    return nil, "body too long"
end

-- read_body answers the body, and whether the connection can be used again.
local function read_body(sock, status, headers)
    if status == 204 or status == 304 then
        return "", true
    end
    local reusable = lower(headers.connection or "") ~= "close"
    if lower(headers["transfer-encoding"] or "") == "chunked" then
        local body, err = read_chunks(sock)
        return body, body and reusable or err
    end
    local length = tonumber(headers["content-length"])
    if not length then
        local body, err = read_all(sock)
        return body, body and false or err
    end
    if length > MAX_BODY then
        return nil, "body too long"
    end
    if length == 0 then
        return "", reusable
    end
    local body, err = sock:receive(length)
    return body, body and reusable or err
end

local function encode(o, method, path, body)
    local host = o.host
    if o.port ~= (o.tls and 443 or 80) then
        host = host .. ":" .. o.port
    end
    local lines = {
        method .. " " .. path .. " HTTP/1.1", "Host: " .. host, "User-Agent: certfleet-nginx", "Accept: application/json",
    }
    if o.authorization then
        lines[#lines + 1] = "Authorization: " .. o.authorization
    end
    if body then
        lines[#lines + 1] = "Content-Type: application/x-www-form-urlencoded"
        lines[#lines + 1] = "Content-Length: " .. #body
    end
    return concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function exchange(sock, request)
    local sent, err = sock:send(request)
    if not sent then
        return nil, err
    end
    local line
    line, err = sock:receive("*l")
    local status = line and tonumber(line:match("^HTTP/1%.[01] (%d%d%d)"))
    if not status then
        return nil, err or "no HTTP answer"
    end
    local headers
    headers, err = read_headers(sock)
    if not headers then
        return nil, err
    end
    local body, reusable = read_body(sock, status, headers)
    if not body then
        return nil, reusable
    end
    return status, body, reusable
end

local function open(o, timeout)
    local sock, err = ngx.socket.tcp()
    if not sock then
        return nil, err
    end
    sock:settimeouts(math.min(timeout, o.connect_timeout or 1000), timeout, timeout)
    local ok
    ok, err = sock:connect(o.host, o.port, { pool = concat({ "certfleet-http", o.host, o.port, o.tls and "tls" or "" }, ":") })
    if not ok then
        return nil, "connect: " .. tostring(err)
    end
    if o.tls and sock:getreusedtimes() == 0 then
        ok, err = sock:sslhandshake(nil, o.server_name or o.host, o.ssl_verify ~= false)
        if not ok then
            sock:close()
            return nil, "TLS: " .. tostring(err)
        end
    end
    return sock
end

-- request answers status and body, or nil and an error. Options are those of
-- url.http, and authorization, ssl_verify, server_name. The timeout, in
-- milliseconds, holds for the connection, and then for request and answer together.
function _M.request(o, method, path, body, timeout)
    local sock, err = open(o, timeout)
    if not sock then
        return nil, err
    end
    local status, answer, reusable = exchange(bounded(sock, timeout), encode(o, method, o.path .. path, body))
    if not status then
        sock:close()
        return nil, answer
    end
    if reusable == true then
        sock:setkeepalive(10000, 20)
    else
        sock:close()
    end
    return status, answer
end

return _M

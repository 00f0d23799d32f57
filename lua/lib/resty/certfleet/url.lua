-- Reads the URLs of the configuration.

local _M = {}

local function decode(s)
    return s and (s:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
end

-- An IPv6 address stands in brackets, and cosockets want it so too.
local function host_port(s)
    local host, port = s:match("^(%[[%x:.]+%]):?(%d*)$")
    if not host then
        host, port = s:match("^([^:]*):?(%d*)$")
    end
    return host, tonumber(port)
end

local function user_part(authority)
    local user, rest = authority:match("^(.*)@(.*)$")
    if not user then
        return nil, nil, authority
    end
    local name, password = user:match("^([^:]*):?(.*)$")
    return decode(name), decode(password), rest
end

-- http answers {tls, host, port, path, user, password}, or nil and an error
-- that does not repeat the URL.
function _M.http(s)
    local scheme, authority, path = tostring(s):match("^(https?)://([^/?#]+)([^?#]*)$")
    if not scheme then
        return nil, "the manager's URL must be http://host:port/path"
    end
    local user, password, rest = user_part(authority)
    local host, port = host_port(rest)
    if not host or host == "" then
        return nil, "the manager's URL has no host"
    end
    local tls = scheme == "https"
    return { tls = tls, host = host, port = port or (tls and 443 or 80), path = (path:gsub("/+$", "")), user = user, password = password }
end

local function unix(path, query, database)
    return { socket = path, database = tonumber(query:match("db=(%d+)")) or database }
end

-- redis answers {tls, host, port, socket, user, password, database}. Without a
-- database in the URL it is number 9.
function _M.redis(s)
    local default = 9
    local path, query = tostring(s):match("^unix:/?/?(/[^?]+)%??(.*)$")
    if path then
        return unix(path, query, default)
    end
    local scheme, rest = tostring(s):match("^(rediss?)://([^?#]+)$")
    if not scheme then
        return nil, "the URL of Redis must be redis://host:port/9, rediss://... or unix:/path/to/socket"
    end
    local authority, database = rest:match("^([^/]*)/?(%d*)$")
    if not authority then
        return nil, "the database of Redis must be a number"
    end
    local user, password, address = user_part(authority)
    local host, port = host_port(address)
    if not host then
        return nil, "the URL of Redis has no host"
    end
    return {
        tls = scheme == "rediss", host = host ~= "" and host or "127.0.0.1", port = port or 6379,
        user = user ~= "" and user or nil, password = password ~= "" and password or nil,
        database = tonumber(database) or default,
    }
end

return _M

-- Stands in for nginx: a socket that plays a script, and the few functions that
-- pure code uses.

local _M = {}

-- socket answers received data from a list of chunks, then "timeout".
function _M.socket(chunks)
    local sock = { sent = {}, closed = false, kept = false, reused = 0, buffer = table.concat(chunks), chunks = chunks }
    local at = 0
    function sock:settimeouts() end
    function sock:settimeout(ms) self.timeout = ms end
    function sock:connect(...) self.to = { ... }; return 1 end
    function sock:getreusedtimes() return self.reused end
    function sock:send(s) self.sent[#self.sent + 1] = s; return #s end
    function sock:setkeepalive() self.kept = true; return 1 end
    function sock:close() self.closed = true; return 1 end
    function sock:receiveany()
        at = at + 1
        if chunks[at] then
            return chunks[at]
        end
        return nil, self.ending or "timeout"
    end
    function sock:receive(what)
        local out
        if what == "*l" then
            local line, rest = self.buffer:match("^(.-)\r?\n(.*)$")
            out, self.buffer = line, rest or self.buffer
        elseif #self.buffer >= what then
            out, self.buffer = self.buffer:sub(1, what), self.buffer:sub(what + 1)
        end
        if out then
            return out
        end
        return nil, self.ending or "timeout"
    end
    return sock
end

-- dict is a shared dict in one worker, without eviction.
function _M.dict()
    local d, values = {}, {}
    function d:get(k) local v = values[k]; if v then return v[1], v[2] end end
    function d:set(k, v, _, flags) values[k] = { v, flags }; return true end
    function d:add(k, v) if values[k] then return false, "exists" end values[k] = { v }; return true end
    function d:incr(k, n, init)
        if not values[k] and not init then return nil, "not found" end
        values[k] = { (values[k] and values[k][1] or init) + n }
        return values[k][1]
    end
    function d:delete(k) values[k] = nil end
    return d
end

_G.ngx = _G.ngx or {
    null = setmetatable({}, {}), socket = {}, now = os.time, ERR = 4, WARN = 5, shared = {}, log = function() end,
    escape_uri = function(s) return (s:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end)) end,
    encode_base64 = function(s) return "b64(" .. s .. ")" end,
}

return _M

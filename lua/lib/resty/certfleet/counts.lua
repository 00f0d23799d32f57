-- Counts what happens. A worker counts for itself and adds to the shared dict
-- once a second, so that a handshake pays a table write.

local _M = {}
local Counts = {}
Counts.__index = Counts

-- names of all counters, with what they count.
_M.names = {
    { "hit_lru", "handshakes served from the worker's parsed pairs" },
    { "hit_dict", "handshakes served from the shared dict" },
    { "hit_redis", "handshakes served from Redis" },
    { "hit_manager", "handshakes served from the manager" },
    { "stale", "handshakes served with a valid pair although its lookup went wrong" },
    { "miss", "handshakes for names that nobody has" },
    { "error", "handshakes without a pair because a lookup went wrong" },
    { "refused", "handshakes whose server name is no host name" },
    { "no_sni", "handshakes without a server name" },
    { "waited", "handshakes that waited for another's lookup" },
    { "lookups_redis", "lookups in Redis" },
    { "lookups_manager", "lookups at the manager" },
    { "ordered", "orders asked for on demand" },
    { "errors_redis", "lookups in Redis that went wrong" },
    { "errors_manager", "lookups at the manager that went wrong" },
    { "refreshed", "pairs refreshed in the background" },
    { "expired", "names that were told to be looked up again" },
    { "evicted", "valid entries that a full shared dict pushed out" },
    { "parsed", "pairs parsed" },
    { "keys_in_brief", "keys read without OpenSSL's decoders, since more names are in use than lru_size" },
    { "parsed_at_length", "pairs among them whose certificate only OpenSSL's slow decoders read" },
    { "broken", "pairs that were found and could not be used" },
    { "redis_ms", "milliseconds spent on lookups in Redis" },
    { "manager_ms", "milliseconds spent on lookups at the manager" },
}

function _M.new(dict)
    return setmetatable({ dict = dict, own = {}, at = 0 }, Counts)
end

function Counts:add(name, n)
    self.own[name] = (self.own[name] or 0) + (n or 1)
end

-- flush adds to the shared dict what is older than a second.
function Counts:flush(now, force)
    if now - self.at < 1 and not force then
        return
    end
    self.at = now
    for name, n in pairs(self.own) do
        self.dict:incr("c:" .. name, n, 0)
        self.own[name] = nil
    end
end

-- read answers all counters.
function Counts:read()
    self:flush(ngx.now(), true)
    local out = {}
    for _, n in ipairs(_M.names) do
        out[n[1]] = self.dict:get("c:" .. n[1]) or 0
    end
    return out
end

return _M

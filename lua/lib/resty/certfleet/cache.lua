-- The two caches: parsed pairs in the worker, records in the shared dict. And
-- names that nobody has, apart from both, so that no flood of them pushes a
-- pair out.

local changes = require "resty.certfleet.changes"
local lrucache = require "resty.lrucache"
local record = require "resty.certfleet.record"

local _M = {}
local Cache = {}
Cache.__index = Cache

local MISS, ERROR = "-", "!"
_M.MISS, _M.ERROR = MISS, ERROR

-- new makes the worker's side; options are those of config.
function _M.new(o, counts)
    local lru, err = lrucache.new(o.lru_size)
    local keys = lru and lrucache.new(o.lru_size)
    local aliases = keys and lrucache.new(o.lru_size)
    if not aliases then
        error("certfleet: " .. tostring(err))
    end
    return setmetatable({
        lru = lru, keys = keys, aliases = aliases, own_misses = lrucache.new(1000),
        dict = o.dict, misses = o.misses, together = o.dict == o.misses,
        o = o, counts = counts, seen = changes.now(o.dict), doubt = 0,
    }, Cache)
end

-- catch_up makes entries doubtful that changed since the worker last looked.
function Cache:catch_up()
    local now = self.dict:get("seq") or 0
    if now == self.seen then
        return
    end
    changes.since(self.dict, self.seen, now, self.forget, self)
    self.seen = now
end

function Cache:forget(n, name)
    if name == changes.all then
        self.doubt = n
        self.aliases:flush_all()
        self.own_misses:flush_all()
        return
    end
    local e = self.lru:get(name)
    if e and e.seq < n then
        e.doubtful = true
    end
    self.aliases:delete(name)
    self.own_misses:delete(name)
end

-- fresh says whether a parsed entry may be served without a lookup.
function Cache:fresh(e, now)
    return not e.doubtful and e.seq >= self.doubt and now < e.fresh_until
end

-- parsed answers the entry of a name or of the wildcard that stands for it.
function Cache:parsed(name)
    local e = self.lru:get(name)
    if e then
        return e
    end
    local alias = self.aliases:get(name)
    return alias and self.lru:get(alias)
end

-- holds says whether some cache has a pair for the name that has not ended.
function Cache:holds(name, now)
    local e = self:parsed(name)
    return (e and e.not_after > now) or self.dict:get("p:" .. name) ~= nil
end

-- keep puts an entry, and under which wildcard a name was found, into the worker.
function Cache:keep(name, e)
    self.lru:set(e.from, e)
    if e.from ~= name then
        self.aliases:set(name, e.from, self.o.ttl)
    end
end

-- drop forgets what nobody has any longer.
function Cache:drop(name)
    self.lru:delete(name)
    self.aliases:delete(name)
    self.dict:delete("p:" .. name)
end

-- save writes a record for the other workers, with the number of the change
-- that it is newer than; 0 when it is in doubt already.
function Cache:save(name, r, seq, lifetime)
    local keep = math.max(1, math.min(lifetime, self.o.stale_ttl))
    local ok, err, forcible = self.dict:set("p:" .. r.from, record.encode(r), keep, seq)
    if forcible or not ok then
        self:full(err or "forcible")
    end
    if r.from ~= name then
        self:mark(name, r.from, self.o.ttl, seq)
    end
end

function Cache:full(why)
    self.counts:add("evicted")
    if not self.warned then
        self.warned = true
        ngx.log(ngx.WARN, "certfleet: the shared dict of pairs is full (", why, "), make it larger: 2 to 4 kB a name")
    end
end

-- load answers the record of a name from the shared dict, and the number of the
-- change up to which it is beyond doubt; 0 when it is not.
function Cache:load(name)
    local seq = changes.now(self.dict)
    local text, flags = self.dict:get("p:" .. name)
    local r = text and record.decode(text)
    if not r then
        return nil
    end
    local written = flags or 0
    local fresh = written > 0 and written >= (self.dict:get("flush") or 0) and ngx.now() < r.fetched + self.o.ttl
    if not fresh or changes.recently(self.dict, written, seq, r.from) then
        return r, 0
    end
    return r, seq
end

-- mark notes that a name is missed, went wrong, or is found under a wildcard.
-- Where one dict holds everything, a mark never pushes a pair out.
function Cache:mark(name, what, ttl, seq)
    if not self.together then
        self.misses:set("m:" .. name, what, ttl, seq)
    elseif not self.misses:safe_set("m:" .. name, what, ttl, seq) then
        self.own_misses:set(name, what, ttl)
    end
end

-- marked answers what is noted of a name, unless everything was forgotten since.
function Cache:marked(name)
    local what, seq = self.misses:get("m:" .. name)
    if what and (seq or 0) >= (self.dict:get("mflush") or 0) then
        return what
    end
    if self.together then
        return self.own_misses:get(name)
    end
end

-- expire makes a name doubtful everywhere: the next handshake looks it up, and
-- what is there now serves only if that goes wrong.
function Cache:expire(name)
    local text, flags = self.dict:get("p:" .. name)
    local n = changes.note(self.dict, name)
    if text and (flags or 0) > 0 then
        self.dict:set("p:" .. name, text, math.max(1, self.dict:ttl("p:" .. name) or 1), 0)
    end
    self.misses:delete("m:" .. name)
    if name:sub(1, 2) == "*." and n then -- names below it may have been missed
        self.dict:set("mflush", n)
        changes.note(self.dict, changes.all)
    end
end

-- expire_all makes every name doubtful.
function Cache:expire_all()
    local n = changes.note(self.dict, changes.all)
    if n then
        self.dict:set("flush", n)
        self.dict:set("mflush", n)
    end
end

return _M

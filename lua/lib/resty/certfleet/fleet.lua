-- The handshake: from a server name to a parsed pair on the connection.

local cache = require "resty.certfleet.cache"
local changes = require "resty.certfleet.changes"
local counts = require "resty.certfleet.counts"
local flight = require "resty.certfleet.flight"
local seal = require "resty.certfleet.seal"
local sni = require "resty.certfleet.sni"
local ssl = require "ngx.ssl"
local tiers = require "resty.certfleet.tiers"
local x509 = require "resty.certfleet.x509"

local now, log, ERR, WARN = ngx.now, ngx.log, ngx.ERR, ngx.WARN

local _M = {}
local Fleet = {}
Fleet.__index = Fleet

-- A refresh begins when this part of the ttl is over; part of it by chance, so
-- that names that came together do not go together.
local SOFT, SPREAD = 0.7, 0.2

-- new makes the worker's instance from settled options.
function _M.new(o)
    local c = counts.new(o.dict)
    return setmetatable({
        o = o, counts = c, cache = cache.new(o, c), tiers = tiers.new(o, c),
        flight = flight.new(o.misses, o.wait, o.order_first and o.on_demand_timeout or o.wait + 1), complained = {},
    }, Fleet)
end

-- complain logs once a minute for a name: bots ask for the same one for ever.
function Fleet:complain(name, text)
    local minute = math.floor(now() / 60)
    if self.complained.minute ~= minute then
        self.complained = { minute = minute, left = 20 }
    end
    if not self.complained[name] and self.complained.left > 0 then
        self.complained[name], self.complained.left = true, self.complained.left - 1
        log(ERR, "certfleet: ", name, ": ", text)
    end
end

-- crowded says whether keys come and go, because more names are in use than the
-- worker keeps: a key that is soon gone had better be there soon.
function Fleet:crowded()
    local keys, second = self.cache.keys, math.floor(now())
    if second ~= self.second then
        self.second, self.keys_read = second, 0
    end
    self.keys_read = self.keys_read + 1
    return self.keys_read > self.o.slow_keys and keys:count() >= self.o.lru_size
end

function Fleet:key(p)
    local id = p.key_id or ngx.md5_bin(p.key)
    local key = self.cache.keys:get(id)
    if key then
        return key
    end
    local pem, err = seal.open(self.o.ring, p.key_id, p.key)
    if not pem then
        return nil, err
    end
    local brief
    key, err, brief = x509.parse_key(pem, self:crowded())
    if key then
        self.cache.keys:set(id, key)
    end
    if brief then
        self.counts:add("keys_in_brief")
    end
    return key, err
end

-- parse answers one pair that is whole, fits and has not ended.
function Fleet:parse(p)
    local key, err = self:key(p)
    if not key then
        return nil, err
    end
    local chain, not_after, at_length = x509.pair(p.chain, key)
    self.counts:add("parsed")
    if at_length then
        self.counts:add("parsed_at_length")
    end
    if not chain then
        return nil, not_after
    end
    if not_after <= now() then
        return nil, "the certificate has expired"
    end
    return { cert = chain, key = key, not_after = not_after }
end

local function digest(r)
    local parts = {}
    for i, p in ipairs(r.pairs) do
        parts[i] = ngx.md5_bin(p.chain .. p.key)
    end
    return table.concat(parts)
end

-- same takes the parsed objects over from the entry before, when nothing changed.
function Fleet:same(r, sum)
    local e = self.cache.lru:get(r.from)
    if e and e.digest == sum and e.not_after > now() then
        return { cert = e.cert, key = e.key, cert2 = e.cert2, key2 = e.key2, not_after = e.not_after }
    end
end

function Fleet:parse_all(r)
    local e, problem
    for _, p in ipairs(r.pairs) do
        local pair, err = self:parse(p)
        if not pair then
            problem = err
            self.counts:add("broken")
        elseif not e then
            e = pair
        elseif self.o.rsa_beside then
            e.cert2, e.key2, e.not_after = pair.cert, pair.key, math.min(e.not_after, pair.not_after)
        end
    end
    return e, problem
end

-- build makes a record ready to be served, or answers why it is not.
function Fleet:build(r, seq)
    local sum = digest(r)
    local e, problem = self:same(r, sum)
    if not e then
        e, problem = self:parse_all(r)
    end
    if problem then
        self:complain(r.from, problem)
    end
    if not e then
        return nil, problem or "half a pair"
    end
    e.from, e.seq, e.digest = r.from, seq, sum
    e.fresh_until = math.min(r.fetched + self.o.ttl, e.not_after)
    e.soft = r.fetched + self.o.ttl * (SOFT + SPREAD * math.random())
    return e
end

-- ask goes through the tiers, and is decided by the last that was asked.
function Fleet:ask(name, seq)
    local held, err = self.cache:holds(name, now())
    for _, tier in ipairs(self.tiers:list()) do
        local r
        r, err = self.tiers[tier](self.tiers, name, held)
        if r then
            r.fetched = now()
            local e, problem = self:build(r, seq)
            if e then
                return e, tier, r
            end
            err = problem
        elseif err then
            self:complain(name, err)
        end
    end
    return nil, err
end

-- look_up asks, and writes what came into the caches.
function Fleet:look_up(name)
    local seq = changes.now(self.cache.dict)
    local e, tier, r = self:ask(name, seq)
    if e then
        return self:found(name, e, r, tier, seq)
    end
    if tier then -- an error
        self.cache:mark(name, cache.ERROR, self.o.error_ttl, seq)
        return nil, "error"
    end
    self.cache:drop(name)
    if not changes.touched(self.cache.dict, seq, name) then
        self.cache:mark(name, cache.MISS, self.o.miss_ttl, seq)
    end
    return nil, "miss"
end

function Fleet:found(name, e, r, tier, seq)
    self.cache:save(name, r, seq, e.not_after - now())
    if changes.touched(self.cache.dict, seq, name, r.from) then
        e.doubtful = true -- it changed while it was read: good for now, not for later
        self.cache:save(name, r, 0, e.not_after - now())
    end
    self.cache:keep(name, e)
    return e, tier == "order" and "manager" or tier
end

-- from_dict answers what another worker brought, parsed; and whether it is fresh.
function Fleet:from_dict(name, what)
    local r, seq = self.cache:load(what and #what > 1 and what or name)
    if not r then
        return nil
    end
    local e = self:build(r, seq)
    if not e then
        return nil
    end
    e.doubtful = seq == 0
    self.cache:keep(name, e)
    return e, not e.doubtful
end

-- peek looks into what the workers share: an entry, a miss, or nothing yet.
function Fleet:peek(name)
    local what = self.cache:marked(name)
    if what == cache.MISS then
        return nil, "miss"
    elseif what == cache.ERROR then
        return nil, "error"
    end
    local e, fresh = self:from_dict(name, what)
    if fresh then
        return e, "dict"
    end
    return nil, nil, e
end

-- find answers an entry and where it came from; or nil and miss or error. A pair
-- that is valid still serves where lookups go wrong.
function Fleet:find(name)
    local e, outcome, stale = self:peek(name)
    if not outcome then
        local waited
        e, outcome, waited = self.flight:run(name, self)
        if waited then
            self.counts:add("waited")
        end
    end
    if e or outcome == "miss" then
        return e, outcome
    end
    stale = stale or self.cache:parsed(name) or self:from_dict(name)
    if stale and stale.not_after > now() then
        return stale, "stale"
    end
    return nil, "error"
end

-- refresh looks a name up in the background, once among all workers.
function Fleet:refresh(name)
    if not self.flight:lock(name) then
        return
    end
    self.counts:add("refreshed")
    local ok, err = pcall(self.renew, self, name)
    self.flight:unlock(name)
    if not ok then
        error(err, 0)
    end
end

-- renew looks a name up, unless another worker has done it just now.
function Fleet:renew(name)
    local _, fresh = self:from_dict(name)
    local e = fresh and self.cache:parsed(name)
    if not e or now() > e.soft then
        self:look_up(name)
    end
end

function Fleet:refresh_soon(name, e)
    e.soft = now() + 5 -- whoever comes meanwhile need not try
    ngx.timer.at(0, function(premature)
        if not premature then
            local ok, err = pcall(self.refresh, self, name)
            if not ok then
                log(ERR, "certfleet: refresh ", name, ": ", err)
            end
        end
    end)
end

-- get answers the entry for what a client sent as server name.
function Fleet:get(raw)
    local t = now()
    self.cache:catch_up()
    self.counts:flush(t)
    local e = self.cache:parsed(raw)
    if e and self.cache:fresh(e, t) then
        self.counts:add("hit_lru")
        if t > e.soft then
            self:refresh_soon(raw, e)
        end
        return e
    end
    return self:get_slowly(raw)
end

function Fleet:get_slowly(raw)
    local name = sni.normalize(raw)
    if not name then
        self.counts:add("refused")
        return nil, "refused"
    end
    if name ~= raw then
        local e = self.cache:parsed(name)
        if e and self.cache:fresh(e, now()) then
            self.counts:add("hit_lru")
            return e
        end
    end
    local e, outcome = self:find(name)
    if not e and outcome == "miss" and self.o.on_demand then
        e, outcome = self:demand(name)
    end
    self.counts:add((e and outcome ~= "stale") and "hit_" .. outcome or outcome)
    return e, outcome
end

-- demand asks for a certificate of an allowed name, and waits as long as it may.
function Fleet:demand(name)
    local ok, allowed = pcall(self.o.allow, name)
    if not ok or allowed ~= true or not self.cache.misses:safe_add("order:" .. name, 1, self.o.miss_ttl) then
        return nil, "miss"
    end
    local got, outcome
    local started = ngx.timer.at(0, function()
        local fine, e, from = pcall(self.order, self, name)
        got, outcome = fine and e or nil, from
    end)
    local deadline = now() + self.o.on_demand_wait
    while started and not outcome and now() < deadline do
        ngx.sleep(0.05)
    end
    return got, got and outcome or "miss"
end

function Fleet:order(name)
    local seq = changes.now(self.cache.dict)
    local r, err = self.tiers:order(name)
    if not r then
        self:complain(name, err or "the manager did not order it")
        return nil, "miss"
    end
    r.fetched = now()
    local e = self:build(r, seq)
    if not e then
        return nil, "miss"
    end
    self.cache.misses:delete("m:" .. name)
    return self:found(name, e, r, "manager", seq)
end

-- put sets the pair on the connection. Everything was checked before, so that
-- the default certificate goes only when its successor will stand.
local function put(e)
    local ok, err = ssl.clear_certs()
    ok = ok and ssl.set_cert(e.cert)
    if ok then
        ok, err = ssl.set_priv_key(e.key)
    end
    if ok and e.cert2 then
        ok = ssl.set_cert(e.cert2)
        if ok then
            ok, err = ssl.set_priv_key(e.key2)
        end
    end
    return ok, err
end

-- serve is the whole of ssl_certificate_by_lua: it answers false when the
-- handshake must end. Callers guard it with pcall: whatever is raised here is
-- raised before the default certificate is gone.
function Fleet:serve()
    local raw = ssl.server_name()
    if not raw then
        self.counts:add("no_sni")
        return true
    end
    local e, outcome = self:get(raw)
    if not e then
        return outcome == "refused" or self.o.on_unknown ~= "reject"
    end
    local set, err = put(e)
    if not set then
        log(ERR, "certfleet: ", e.from, ": set certificate: ", err)
    end
    return true
end

-- expire makes a name, or with nil every name, be looked up at its next handshake.
function Fleet:expire(name)
    self.counts:add("expired")
    if name then
        self.cache:expire(name)
    else
        self.cache:expire_all()
    end
end

_M.warn = function(text) log(WARN, "certfleet: ", text) end

return _M

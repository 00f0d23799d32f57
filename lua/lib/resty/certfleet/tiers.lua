-- Where a name is looked up when no cache has it: Redis, then the manager. Each
-- answers a record, nothing (it has none), or an error.

local layouts = require "resty.certfleet.layouts"
local manager = require "resty.certfleet.manager"
local redis = require "resty.certfleet.redis"
local sni = require "resty.certfleet.sni"

local _M = {}
local Tiers = {}
Tiers.__index = Tiers

-- After so many connections in a row that went wrong, Redis is left alone for
-- this long, in seconds, so that handshakes do not queue behind its timeouts.
local TRIES, PAUSE = 3, 1

function _M.new(o, counts)
    return setmetatable({ o = o, counts = counts, failures = 0, down_until = 0 }, Tiers)
end

function Tiers:client()
    if self.o.connector then
        return self.o.connector()
    end
    return redis.connect(self.o.redis)
end

-- lost says whether Redis may have forgotten rather than never had: it is empty,
-- as after a restart, or in the middle of being filled.
local function lost(client, o)
    local replies, err = client:pipeline({ { "DBSIZE" }, { "EXISTS", o.prefix .. "certfleet:prime" } })
    if not replies then
        return err
    end
    if replies[1] == 0 or replies[2] == 1 then
        return "it is empty or being filled, so a missing name says nothing"
    end
end

function Tiers:once(name, held)
    local client, err = self:client()
    if not client then
        return nil, err, true
    end
    local r
    r, err = layouts[self.o.layout](client, self.o, name, sni.wildcard(name))
    if held and not r and not err then
        err = lost(client, self.o)
    end
    local broken_off = err and (err:find("^send: ") or err:find("^read: "))
    if not broken_off then
        client:keepalive(10000, self.o.redis_pool)
    end
    return r, err, broken_off, client.reused
end

-- from_redis asks again over a new connection where a kept one was dead.
function Tiers:from_redis(name, held)
    local r, err, broken_off, reused = self:once(name, held)
    if broken_off and reused and self.o.redis then
        redis.renew(self.o.redis)
        r, err, broken_off = self:once(name, held)
    end
    return r, err, broken_off
end

-- timed asks a tier: ask is called with the rest.
function Tiers:timed(tier, ask, ...)
    self.counts:add("lookups_" .. tier)
    local began = ngx.now()
    local r, err, unreachable = ask(...)
    ngx.update_time()
    self.counts:add(tier .. "_ms", (ngx.now() - began) * 1000)
    if err then
        self.counts:add("errors_" .. tier)
    end
    return r, err, unreachable
end

function Tiers:redis(name, held)
    if ngx.now() < self.down_until then
        return nil, "Redis: left alone for a moment"
    end
    local r, err, unreachable = self:timed("redis", self.from_redis, self, name, held)
    if not unreachable then
        self.failures = 0
        return r, err and "Redis: " .. err
    end
    self.failures = self.failures + 1
    if self.failures >= TRIES then
        self.down_until = ngx.now() + PAUSE
    end
    return nil, "Redis: " .. err
end

function Tiers:manager(name)
    return self:timed("manager", manager.lookup, self.o.manager, name)
end

-- order asks the manager for a certificate that does not exist yet.
function Tiers:order(name)
    self.counts:add("ordered")
    return self:timed("manager", manager.order, self.o.manager, name)
end

-- each yields the tiers that are configured, in turn.
function Tiers:list()
    local list = {}
    if self.o.redis or self.o.connector then
        list[1] = "redis"
    end
    if self.o.manager then
        list[#list + 1] = self.o.order_first and "order" or "manager"
    end
    return list
end

return _M

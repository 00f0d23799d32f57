-- resty.peter_sslers, as a thin shim over certfleet: the function names,
-- arguments and routes of version 0.5.0.
--
-- One lua_shared_dict cert_cache is enough. With a second one, certfleet_misses,
-- unknown names have a place of their own and can push no certificate out.

local config = require "resty.certfleet.config"
local fleet = require "resty.certfleet.fleet"
local layouts = require "resty.certfleet.layouts"
local manager = require "resty.certfleet.manager"
local redis = require "resty.certfleet.redis"
local routes = require "resty.certfleet.routes"
local url = require "resty.certfleet.url"
local x509 = require "resty.certfleet.x509"

local _M = { _VERSION = routes.version }

local settings = { ttl = 600, lru_size = 10000, redis = { host = "127.0.0.1", port = 6379, database = 9 } }
local ready, instances = false, {}

function _M.initialize()
    ngx.log(ngx.NOTICE, "peter_sslers: initialize")
    return true
end

-- initialize_worker sets how long a pair is cached and how many parsed pairs a
-- worker keeps. The worker's own duration is accepted and not needed: each
-- handshake notices what was expired.
function _M.initialize_worker(cert_cache_duration, _, lru_maxitems)
    settings.ttl = cert_cache_duration or settings.ttl
    settings.lru_size = lru_maxitems or settings.lru_size
    ready, instances = true, {}
    ngx.log(ngx.NOTICE, "peter_sslers: initialize_worker")
    return true
end

function _M.redis_update_defaults(server, port, db)
    settings.redis = { host = server or "127.0.0.1", port = tonumber(port) or 6379, database = tonumber(db) or 9 }
    instances = {}
end

local function redis_url()
    local r = settings.redis
    return "redis://" .. r.host .. ":" .. r.port .. "/" .. r.database
end

-- new makes an instance for one way of calling; dict is a name or the dict itself.
function _M.new(dict, more)
    local cache = type(dict) == "string" and ngx.shared[dict] or dict
    local o = {
        dict = cache, misses = ngx.shared.certfleet_misses or cache, subscribe = false,
        ttl = settings.ttl, miss_ttl = settings.ttl, lru_size = settings.lru_size,
    }
    for k, v in pairs(more) do
        o[k] = v
    end
    return fleet.new(config.read(o))
end

local function warn_once()
    if not ready then
        ready = true
        fleet.warn("initialize_worker was not called; the defaults are used")
    end
end

local function instance(strategy, fallback, autocert, preferences)
    local keys = type(preferences) == "table" and table.concat(preferences, ",") or ""
    local id = table.concat({ tostring(strategy), tostring(fallback), tostring(autocert ~= nil), keys }, " ")
    local f = instances[id]
    if not f then
        warn_once()
        f = _M.new("cert_cache", {
            redis = strategy ~= nil and redis_url() or false, layout = strategy, manager = fallback,
            order_first = fallback and autocert ~= nil or nil, preferences = preferences,
        })
        instances[id] = f
    end
    return f
end

-- set_ssl_certificate serves a handshake. redis_strategy is nil, 1 or 2 (and 3,
-- certfleet's own); fallback_server the manager's URL with its prefix, or nil;
-- any enable_autocert but nil orders what is missing; cert_preferences are the
-- keys of the answer to look under.
function _M.set_ssl_certificate(redis_strategy, fallback_server, enable_autocert, cert_preferences)
    local ok, err = pcall(function()
        instance(redis_strategy, fallback_server, enable_autocert, cert_preferences):serve()
    end)
    if not ok then
        ngx.log(ngx.ERR, "peter_sslers: ", err)
    end
end

-- any is an instance for the routes: what they do happens in the shared dict.
local function any()
    local _, f = next(instances)
    return f or instance(nil, nil, nil, nil)
end

function _M.expire_ssl_certs()
    return routes.expire(any())
end

function _M.status_ssl_certs()
    return routes.status(any())
end

-- get_redcon answers a connected client, or nil and an error.
function _M.get_redcon()
    local o = assert(url.redis(redis_url()))
    o.connect_timeout, o.read_timeout = config.defaults.redis_connect_timeout, config.defaults.redis_read_timeout
    return redis.connect(o)
end

function _M.redis_keepalive(redcon)
    return redcon:keepalive(10000, 100)
end

function _M.certificate_pairing(cert, pkey)
    return { cert = cert, pkey = pkey }
end

local function pairing(r)
    local p = r and r.pairs[1]
    return p and _M.certificate_pairing(p.chain, p.key) or nil
end

function _M.prime_1__query_redis(redcon, name)
    return pairing((layouts[1](redcon, { prefix = "" }, name)))
end

function _M.prime_2__query_redis(redcon, name)
    return pairing((layouts[2](redcon, { prefix = "" }, name)))
end

local function ask(how, fallback_server, name, preferences)
    local o, err = url.http(fallback_server)
    if not o then
        ngx.log(ngx.ERR, "peter_sslers: ", err)
        return {}
    end
    o.timeout, o.order_timeout, o.preferences = config.defaults.manager_timeout, config.defaults.on_demand_timeout * 1000, preferences
    local r
    r, err = how(o, name)
    if err then
        ngx.log(ngx.ERR, "peter_sslers: ", err)
    end
    return pairing(r) or {}
end

function _M.query_api_upstream(fallback_server, name, cert_preferences)
    return ask(manager.lookup, fallback_server, name, cert_preferences)
end

function _M.query_api_autocert(fallback_server, name, cert_preferences)
    return ask(manager.order, fallback_server, name, cert_preferences)
end

-- certificate_pairing_pem_to_cdata parses a pairing, or answers nil and an error.
function _M.certificate_pairing_pem_to_cdata(pems)
    local cert, err = x509.parse_chain(pems.cert)
    if not cert then
        return nil, err
    end
    local key
    key, err = x509.parse_key(pems.pkey)
    if not key then
        return nil, err
    end
    return _M.certificate_pairing(cert, key)
end

-- set_cert_sharedcache puts a pairing of PEM texts into the shared dict.
function _M.set_cert_sharedcache(name, pems)
    local f = any()
    local r = { from = name, fetched = ngx.now(), pairs = { { chain = pems.cert, key = pems.pkey } } }
    f.cache:save(name, r, require("resty.certfleet.changes").now(f.cache.dict), settings.ttl)
    return true
end

-- set_cert_lrucache is set_cert_sharedcache: a worker parses what it finds there.
_M.set_cert_lrucache = _M.set_cert_sharedcache

return _M

-- certfleet for nginx with ngx_lua and for OpenResty: the certificate of a
-- handshake is found by its server name, in the worker's memory, then in the
-- shared dict, then in Redis, then at the manager.
--
--   init_by_lua_block        { require("resty.certfleet").setup({ redis = "redis://127.0.0.1:6379/9" }) }
--   init_worker_by_lua_block { require("resty.certfleet").init_worker() }
--   ssl_certificate_by_lua_block { require("resty.certfleet").serve() }

local config = require "resty.certfleet.config"
local fleet = require "resty.certfleet.fleet"
local listen = require "resty.certfleet.listen"
local routes = require "resty.certfleet.routes"

local _M = { _VERSION = routes.version }

local options, instance

-- setup reads the options (they stand in resty/certfleet/config.lua) and raises
-- what is wrong with them. Call it in init_by_lua.
function _M.setup(given)
    options, instance = config.read(given), nil
end

-- fleet answers the worker's instance.
function _M.fleet()
    if not instance then
        if not options then
            _M.setup({})
        end
        instance = fleet.new(options)
    end
    return instance
end

-- init_worker makes the instance, and in one worker listens for changes. Call
-- it in init_worker_by_lua.
function _M.init_worker()
    local f = _M.fleet()
    math.randomseed(ngx.worker.pid() + ngx.time())
    ngx.timer.every(1, function() f.counts:flush(ngx.now(), true) end)
    if not (f.o.redis and f.o.subscribe and ngx.worker.id() == 0) then
        return
    end
    ngx.timer.at(0, function(premature)
        if premature then
            return
        end
        local ok, err = pcall(listen.run, f)
        if not ok then
            ngx.log(ngx.ERR, "certfleet: listen in Redis: ", err)
        end
    end)
end

local function handshake()
    return (instance or _M.fleet()):serve()
end

-- serve sets the certificate of this handshake, or leaves the default one. Call
-- it in ssl_certificate_by_lua.
function _M.serve()
    local ok, goes_on = pcall(handshake)
    if not ok then
        ngx.log(ngx.ERR, "certfleet: ", goes_on)
        return
    end
    if not goes_on then
        return ngx.exit(ngx.ERROR)
    end
end

-- expire, status and metrics answer requests, in content_by_lua.
function _M.expire() return routes.expire(_M.fleet()) end
function _M.status() return routes.status(_M.fleet()) end
function _M.metrics() return routes.metrics(_M.fleet()) end

-- forget makes one name, or with nil every name, be looked up at its next handshake.
function _M.forget(name) return _M.fleet():expire(name) end

return _M

-- For ssl_certificate_by_lua_file, with: lua_shared_dict cert_cache 1m;

local ssl_certhandler = require "ssl_certhandler"

local cert_cache = ngx.shared.cert_cache
local cert_cache_duration = 7200 -- seconds
local prime_version = 1
local fallback_server = "http://127.0.0.1:7201/.well-known/peter_sslers"

ssl_certhandler.set_ssl_certificate(cert_cache, cert_cache_duration, prime_version, fallback_server)

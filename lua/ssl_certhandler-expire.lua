-- For content_by_lua_file in: location /ngxadmin/shared_cache/expire { ... }

local ssl_certhandler = require "ssl_certhandler"

ssl_certhandler.expire_ssl_certs(ngx.shared.cert_cache)

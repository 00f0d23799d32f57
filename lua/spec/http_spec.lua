local helper = require "spec.helper"
local http = require "resty.certfleet.http"
local url = require "resty.certfleet.url"

describe("the HTTP client", function()
    local function ask(answer, ending)
        local sock = helper.socket({ answer })
        sock.ending = ending
        ngx.socket.tcp = function() return sock end
        local o = url.http("http://127.0.0.1:7201/.well-known/peter_sslers/")
        local status, body = http.request(o, "GET", "/domain/x/config.json", nil, 1000)
        return status, body, sock
    end

    it("asks below the prefix and keeps the connection", function()
        local status, body, sock = ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert.are.equal(200, status)
        assert.are.equal("{}", body)
        assert.matches("^GET /.well%-known/peter_sslers/domain/x/config.json HTTP/1.1\r\nHost: 127.0.0.1:7201\r\n", sock.sent[1])
        assert.is_true(sock.kept)
    end)

    it("reads chunks", function()
        local _, body, sock = ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        assert.are.equal("abcde", body)
        assert.is_true(sock.kept)
    end)

    it("never keeps a connection that the server closes", function()
        local _, body, sock = ask("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert.are.equal("{}", body)
        assert.is_true(sock.closed)
    end)

    it("gives an answer that comes letter by letter no more time than another", function()
        local now, clock = ngx.now, 100
        ngx.now = function() clock = clock + 0.3; return clock end -- each wait takes 300 ms of the second
        local status, err, sock = ask("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nContent-Length: 2\r\n\r\n{}")
        ngx.now = now
        assert.is_nil(status)
        assert.are.equal("timeout", err)
        assert.is_true(sock.closed)
        assert.is_true(sock.timeout < 500)
    end)

    it("answers an error for what is cut, endless or no HTTP", function()
        for _, answer in ipairs({
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}",
            "-ERR what\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        }) do
            local status, err, sock = ask(answer, "closed")
            assert.is_nil(status, answer)
            assert.is_string(err)
            assert.is_true(sock.closed)
        end
    end)
end)

describe("URLs", function()
    it("read Redis with database 9 by default", function()
        assert.are.same({ tls = false, host = "127.0.0.1", port = 6379, database = 9 }, url.redis("redis://127.0.0.1"))
        assert.are.same({ tls = true, host = "r.example", port = 7000, database = 3, user = "u", password = "p@/" }, url.redis("rediss://u:p%40%2F@r.example:7000/3"))
        assert.are.same({ tls = false, host = "h", port = 6379, database = 0, password = "p" }, url.redis("redis://:p@h/0"))
        assert.are.same({ socket = "/run/redis.sock", database = 9 }, url.redis("unix:/run/redis.sock"))
        assert.are.same({ socket = "/run/redis.sock", database = 2 }, url.redis("unix:///run/redis.sock?db=2"))
    end)

    it("refuse others without repeating what may be a password", function()
        for _, s in ipairs({ "http://x", "redis://:secret@h/x", "" }) do
            local r, err = url.redis(s)
            assert.is_nil(r)
            assert.is_nil(err:find("secret", 1, true))
        end
        assert.is_nil((url.http("ftp://x")))
    end)
end)

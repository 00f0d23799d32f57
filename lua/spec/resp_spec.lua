local helper = require "spec.helper"
local redis = require "resty.certfleet.redis"
local resp = require "resty.certfleet.resp"

describe("the protocol of Redis", function()
    it("writes a command as it goes over the wire", function()
        assert.are.equal("*2\r\n$3\r\nGET\r\n$3\r\nd:x\r\n", resp.encode({ "GET", "d:x" }))
        assert.are.equal("*2\r\n$6\r\nSELECT\r\n$1\r\n9\r\n", resp.encode({ "SELECT", 9 }))
    end)

    it("reads every kind of reply", function()
        for wire, want in pairs({
            ["+OK\r\n"] = "OK", [":42\r\n"] = 42, ["$3\r\na\r\n\r\n"] = "a\r\n", ["$0\r\n\r\n"] = "", ["$-1\r\n"] = resp.null, ["*-1\r\n"] = resp.null,
        }) do
            local value, following = resp.decode(wire .. "rest", 1)
            assert.are.equal(want, value)
            assert.are.equal(#wire + 1, following)
        end
        assert.are.same({ error = "WRONGTYPE x" }, (resp.decode("-WRONGTYPE x\r\n", 1)))
        assert.are.same({ "a", resp.null, { 1 } }, (resp.decode("*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n", 1)))
    end)

    it("asks for more at every place where a reply can break off", function()
        local wire = "*2\r\n$3\r\nabc\r\n*1\r\n$-1\r\n"
        for n = 0, #wire - 1 do
            local value, following, err = resp.decode(wire:sub(1, n), 1)
            assert.is_nil(value)
            assert.is_nil(following)
            assert.is_nil(err, "after " .. n .. " bytes")
        end
    end)

    it("refuses what is no reply, or too much of one", function()
        for _, wire in ipairs({ "HTTP/1.1 400 Bad Request\r\n", "$9999999999\r\n", "$x\r\n", "*-7\r\n", "*99999999\r\n", string.rep("*1\r\n", 20) }) do
            local _, _, err = resp.decode(wire, 1)
            assert.is_string(err, wire)
        end
    end)
end)

describe("the Redis client", function()
    local function connect(chunks, o)
        local sock = helper.socket(chunks)
        ngx.socket.tcp = function() return sock end
        o = o or {}
        o.host, o.port, o.connect_timeout, o.read_timeout = "127.0.0.1", 6379, 200, 500
        local client, err = redis.connect(o)
        return client, err, sock
    end

    it("logs in and picks the database in one write", function()
        local client, _, sock = connect({ "+OK\r\n+O", "K\r\n" }, { password = "p", database = 9 })
        assert.is_truthy(client)
        assert.are.equal(resp.encode({ "AUTH", "p" }) .. resp.encode({ "SELECT", 9 }), sock.sent[1])
    end)

    it("closes when the password or the database is refused", function()
        local client, err, sock = connect({ "-WRONGPASS no\r\n-NOAUTH\r\n" }, { password = "p", database = 9 })
        assert.is_nil(client)
        assert.matches("AUTH: WRONGPASS", err)
        assert.is_true(sock.closed)
    end)

    it("answers as many replies as commands, however they are cut", function()
        local client = connect({ "$1\r", "\na\r\n$", "-1\r\n" })
        assert.are.same({ "a", resp.null }, client:pipeline({ { "GET", "a" }, { "GET", "b" } }))
    end)

    it("closes after a timeout, so that no late answer meets another question", function()
        local client, _, sock = connect({ "$1\r\n" })
        local replies, err = client:pipeline({ { "GET", "a" } })
        assert.is_nil(replies)
        assert.matches("timeout", err)
        assert.is_true(sock.closed)
    end)

    it("does not give a connection back that has unread bytes", function()
        local client, _, sock = connect({ "+OK\r\n+stray" })
        client:pipeline({ { "PING" } })
        client:keepalive()
        assert.is_true(sock.closed)
        assert.is_false(sock.kept)
    end)
end)

require "spec.helper"
local layouts = require "resty.certfleet.layouts"
local resp = require "resty.certfleet.resp"

-- client answers from a table of hashes and strings.
local function client(data)
    local c = { trips = 0 }
    function c:pipeline(commands)
        self.trips = self.trips + 1
        local out = {}
        for i, cmd in ipairs(commands) do
            local v = data[cmd[2]]
            if type(v) == "table" and v.error then
                out[i] = v
            elseif cmd[1] == "HMGET" then
                out[i] = {}
                for f = 3, #cmd do
                    out[i][f - 2] = v and v[cmd[f]] or resp.null
                end
            else
                out[i] = v or resp.null
            end
        end
        return out
    end
    return c
end

local o = { prefix = "" }

describe("layout 1", function()
    it("joins leaf and chain, in two round trips", function()
        local c = client({ ["d1:x.example.com"] = { c = "1", p = "2", i = "3" }, ["c:1"] = "LEAF", ["p:2"] = "KEY", ["i:3"] = "CHAIN" })
        local r = layouts[1](c, o, "x.example.com", "*.example.com")
        assert.are.same({ from = "x.example.com", pairs = { { chain = "LEAF\nCHAIN", key = "KEY" } } }, r)
        assert.are.equal(2, c.trips)
    end)

    it("calls a missing part an error, not a miss", function()
        for _, gone in ipairs({ "c:1", "p:2", "i:3" }) do
            local data = { ["d1:x.example.com"] = { c = "1", p = "2", i = "3" }, ["c:1"] = "LEAF", ["p:2"] = "KEY", ["i:3"] = "CHAIN" }
            data[gone] = nil
            local r, err = layouts[1](client(data), o, "x.example.com")
            assert.is_nil(r)
            assert.matches("half a pair", err)
        end
    end)
end)

describe("layout 2", function()
    it("prefers the name to its wildcard", function()
        local data = { ["d2:*.example.com"] = { f = "WF", p = "WP" }, ["d2:x.example.com"] = { f = "F", p = "P" } }
        assert.are.equal("F", layouts[2](client(data), o, "x.example.com", "*.example.com").pairs[1].chain)
        data["d2:x.example.com"] = nil
        local r = layouts[2](client(data), o, "x.example.com", "*.example.com")
        assert.are.equal("*.example.com", r.from)
        assert.are.equal("WP", r.pairs[1].key)
    end)

    it("answers nothing, and no error, for a name that nobody has", function()
        local r, err = layouts[2](client({}), o, "x.example.com", "*.example.com")
        assert.is_nil(r)
        assert.is_nil(err)
    end)

    it("answers the error of Redis", function()
        local _, err = layouts[2](client({ ["d2:x.example.com"] = { error = "WRONGTYPE" } }), o, "x.example.com")
        assert.are.equal("WRONGTYPE", err)
    end)
end)

describe("layout 3", function()
    local data = { ["a:d3:x.example.com"] = { g = "7", f = "F", k = "aa", g2 = "5", f2 = "F2", k2 = "bb" }, ["a:k3:aa"] = "K", ["a:k3:bb"] = "K2" }

    it("brings both pairs, with their keys", function()
        local r = layouts[3](client(data), { prefix = "a:" }, "x.example.com")
        assert.are.same({ { generation = "7", chain = "F", key_id = "aa", key = "K" }, { generation = "5", chain = "F2", key_id = "bb", key = "K2" } }, r.pairs)
    end)

    it("brings the RSA pair alone where there is no other", function()
        local r = layouts[3](client({ ["d3:x.example.com"] = { g2 = "5", f2 = "F2", k2 = "bb" }, ["k3:bb"] = "K2" }), o, "x.example.com")
        assert.are.equal("K2", r.pairs[1].key)
    end)
end)

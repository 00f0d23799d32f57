require "spec.helper"
local sni = require "resty.certfleet.sni"

describe("the gate for server names", function()
    it("answers names in lower case, without a trailing dot", function()
        for raw, want in pairs({
            ["shop.example.com"] = "shop.example.com", ["SHOP.Example.COM"] = "shop.example.com", ["shop.example.com."] = "shop.example.com",
            ["a_b.example.com"] = "a_b.example.com", ["xn--bcher-kva.example"] = "xn--bcher-kva.example", ["localhost"] = "localhost",
            ["1.2.3.4.example"] = "1.2.3.4.example",
        }) do
            assert.are.equal(want, sni.normalize(raw))
        end
    end)

    it("refuses everything else", function()
        for _, raw in ipairs({
            "", ".", "..", "a..b", ".example.com", "x/ HTTP/1.1\r\nHost: y", "../../api?x=", "zz&evil=1", "a b.example", "*.example.com", "127.0.0.1",
            "[::1]", "::1", "a\0b", "exämple.com", "%2e%2e", string.rep("a", 64) .. ".example", string.rep("a.", 126) .. "ab", string.rep("x", 255),
        }) do
            assert.is_nil(sni.normalize(raw), raw)
        end
        assert.is_nil(sni.normalize(nil))
    end)

    it("takes the longest name there is", function()
        local name = string.rep("a.", 126) .. "b"
        assert.are.equal(253, #name)
        assert.are.equal(name, sni.normalize(name))
    end)

    it("knows the wildcard above a name", function()
        assert.are.equal("*.example.com", sni.wildcard("shop.example.com"))
        assert.are.equal("*.b.example.com", sni.wildcard("a.b.example.com"))
        assert.is_nil(sni.wildcard("localhost"))
        assert.is_nil(sni.wildcard("example.com"))
    end)

    it("knows what an entry may be called", function()
        assert.is_true(sni.is_entry("*.example.com"))
        assert.is_true(sni.is_entry("example.com"))
        assert.is_false(sni.is_entry("Example.com"))
        assert.is_false(sni.is_entry("*"))
        assert.is_false(sni.is_entry(nil))
    end)
end)

require "spec.helper"
local manager = require "resty.certfleet.manager"

describe("the manager's answer", function()
    local function payload(n) return { fullchain = { id = "1,2", pem = "F" .. n }, private_key = { id = "1", pem = "K" .. n } } end

    it("is read under the names of every generation", function()
        for _, key in ipairs({ "x509_certificate__latest_multi", "certificate_signed__latest_single", "server_certificate__latest_single" }) do
            assert.are.same({ chain = "F1", key = "K1" }, manager.pick({ [key] = payload(1) }))
        end
    end)

    it("prefers the certificate with several names", function()
        local answer = { x509_certificate__latest_single = payload(1), x509_certificate__latest_multi = payload(2) }
        assert.are.equal("F2", manager.pick(answer).chain)
    end)

    it("follows the operator's own preferences", function()
        local answer = { x509_certificate__latest_multi = payload(1), mine = payload(2) }
        assert.are.equal("F2", manager.pick(answer, { "mine" }).chain)
    end)

    it("has no pair when a half is missing, empty or of another type", function()
        local null = require("cjson.safe").null
        for _, p in ipairs({ {}, { fullchain = { pem = "F" } }, { fullchain = { pem = "F" }, private_key = null }, { fullchain = "F", private_key = { pem = 1 } } }) do
            assert.is_nil(manager.pick({ x509_certificate__latest_multi = p, x509_certificate__latest_single = null }))
        end
    end)
end)

require "spec.helper"
local record = require "resty.certfleet.record"

describe("a record in the shared dict", function()
    local r = {
        from = "*.example.com", fetched = 1700000000.125,
        pairs = { { chain = "one\ntwo 3 4\n", key = "k\0ey", generation = "12", key_id = "ab" }, { chain = "", key = "x", generation = "0" } },
    }

    it("comes back as it was", function()
        assert.are.same(r, record.decode(record.encode(r)))
    end)

    it("is nothing when it is cut anywhere", function()
        local text = record.encode(r)
        for n = 0, #text - 1 do
            assert.is_nil(record.decode(text:sub(1, n)), "cut after " .. n)
        end
    end)
end)

-- ngx.semaphore stands in: nobody waits here.
package.preload["ngx.semaphore"] = function()
    return { new = function() return { post = function() end, wait = function() return true end } end }
end

local helper = require "spec.helper"

describe("flight", function()
    local flight = require "resty.certfleet.flight"

    local function dict()
        local d = helper.dict()
        d.safe_add = d.add
        return d
    end

    it("forgets lookups that were ended in the middle", function()
        local time, now = 1000, ngx.now
        ngx.now = function() return time end
        local f = flight.new(dict(), 2, 3)
        local who = { peek = function() end, look_up = function() coroutine.yield() end }
        for i = 1, 2500 do -- none of these is ever resumed
            coroutine.wrap(function() f:run("n" .. i, who) end)()
            time = time + 1
        end
        local left = 0
        for _ in pairs(f.going) do left = left + 1 end
        ngx.now = now
        assert.is_true(left <= 1005, left .. " are left")
    end)

    it("gives the lock back when a lookup raises", function()
        local d = dict()
        local f = flight.new(d, 2, 3)
        local _, outcome = f:run("shop.example.com", { peek = function() end, look_up = function() error("broken") end })
        assert.equal("error", outcome)
        assert.is_nil(d:get("lock:shop.example.com"))
        assert.is_nil(f.going["shop.example.com"])
    end)
end)

local helper = require "spec.helper"
local changes = require "resty.certfleet.changes"

describe("what changed", function()
    local function since(dict, seen)
        local out = {}
        changes.since(dict, seen, changes.now(dict), function(list, _, name) list[#list + 1] = name end, out)
        return out
    end

    it("is told in order to whoever looks", function()
        local dict = helper.dict()
        local seen = changes.now(dict)
        changes.note(dict, "a.example")
        changes.note(dict, "b.example")
        assert.are.same({ "a.example", "b.example" }, since(dict, seen))
        assert.are.same({}, since(dict, changes.now(dict)))
    end)

    it("is everything, where a change cannot be read any more", function()
        local dict = helper.dict()
        local seen = changes.now(dict)
        changes.note(dict, "a.example")
        dict:delete("x:" .. changes.now(dict))
        assert.are.same({ changes.all, changes.all }, since(dict, seen))
    end)

    it("is everything, where the number began anew or ran far ahead", function()
        local dict = helper.dict()
        assert.are.same({ changes.all }, since(dict, changes.now(dict) + 5))
        local seen = changes.now(dict)
        for _ = 1, 1001 do
            changes.note(dict, "a.example")
        end
        assert.are.same({ changes.all }, since(dict, seen))
    end)

    it("touches a name, or all of them", function()
        local dict = helper.dict()
        local seen = changes.now(dict)
        changes.note(dict, "*.example")
        assert.is_true(changes.touched(dict, seen, "a.example", "*.example"))
        assert.is_false(changes.touched(dict, seen, "a.example", "a.example"))
        changes.note(dict, changes.all)
        assert.is_true(changes.touched(dict, seen, "a.example", "a.example"))
    end)
end)

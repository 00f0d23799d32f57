std = "ngx_lua"
max_line_length = 160
files["spec"] = { self = false, max_line_length = 180, std = "ngx_lua+busted", globals = { "ngx" } }

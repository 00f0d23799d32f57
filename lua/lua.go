// Package lua carries the module for nginx and OpenResty in the binary, for the demo.
package lua

import "embed"

// Lib is the module as lua_package_path wants it, below lib.
//
//go:embed lib
var Lib embed.FS

// Package compat answers as a peter_sslers server does, under the prefixes that
// its users' nginx, scripts and Lua modules know. Behind each route are the same
// rooms as behind /v1; only names and shapes are the older system's.
//
// Rules that hold for every route:
//
//   - JSON that succeeds says "result": "success"; a form that does not is HTTP 200
//     with "result": "error" and "form_errors"; an unknown object is 404 with "message".
//   - A body is read as a form whatever its Content-Type says. What browsers post for
//     other sites is refused, as is text that no store or terminal takes.
//   - A GET without .json that names text/html is answered by a page with the same
//     content, without a script or a form.
//   - GET on a route that wants POST answers what may be posted.
//   - Ids in a lookup's answer are decimal strings, elsewhere numbers.
package compat

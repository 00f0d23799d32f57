// Package takeover brings what the database of a peter_sslers server holds to a manager: first a plan, which changes nothing, then each item by the API.
//
// An item is here already when it carries the label of where it came from, or says
// the same; it is then left as it is. So a plan that was carried out in part is
// drawn again and goes on, and one that was carried out adds nothing.
package takeover

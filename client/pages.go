package client

import (
	"context"
	"iter"
)

// pages goes through a list page by page; next fetches the page at a cursor.
func pages[T any](ctx context.Context, cursor string, next func(ctx context.Context, cursor string) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			p, err := next(ctx, cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, v := range p.Items {
				if !yield(v, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			cursor = p.Next
		}
	}
}

// page fetches one page.
func page[T any](ctx context.Context, c *Client, path string, query any) (p Page[T], err error) {
	err = c.call(ctx, "GET", path, query, nil, &p)
	return p, err
}

// do makes a call whose answer is a T.
func do[T any](ctx context.Context, c *Client, method, path string, query, body any) (*T, error) {
	var out T
	if err := c.call(ctx, method, path, query, body, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

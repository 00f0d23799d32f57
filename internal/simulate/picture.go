package simulate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// The picture's measures, in its own units.
const (
	pictureWidth = 960
	panelHeight  = 150
	panelGap     = 60
	margin       = 70
)

// Picture draws orders per day, the backlog, and the least that was left of a
// life at a renewal, day by day, as SVG.
func (r *Result) Picture(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, 3*(panelHeight+panelGap)+panelGap)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="24" font-size="15">%d certificates from %s to %s: %d expired, %d late, %d breaches</text>`+"\n",
		margin, r.Fleet, r.From, r.Until, r.Expired, r.Late, r.Breaches)
	r.panel(&b, 0, "orders a day", map[string]func(Day) (float64, bool){"orders": func(d Day) (float64, bool) { return float64(d.Orders), true }})
	r.panel(&b, 1, "due and not done", map[string]func(Day) (float64, bool){"backlog": func(d Day) (float64, bool) { return float64(d.Backlog), true }})
	least := map[string]func(Day) (float64, bool){}
	for profile := range r.LeastDays {
		least[profile] = func(d Day) (float64, bool) { v, ok := d.Least[profile]; return v, ok }
	}
	r.panel(&b, 2, "least days left at a renewal", least)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var colors = []string{"#1f6fb4", "#c4542b", "#3a8f4d", "#7a4fa3"}

// panel draws one set of lines over the days, from zero to the highest.
func (r *Result) panel(b *strings.Builder, n int, title string, lines map[string]func(Day) (float64, bool)) {
	top, most := float64(panelGap+n*(panelHeight+panelGap)), 1.0
	for _, of := range lines {
		for _, d := range r.PerDay {
			v, _ := of(d)
			most = max(most, v)
		}
	}
	bottom := top + panelHeight
	fmt.Fprintf(b, `<text x="%d" y="%.0f">%s</text><path d="M%d %.0fV%.0fH%d" stroke="#888" fill="none"/>`+"\n", margin, top-8, title, margin, top, bottom, pictureWidth-10)
	fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="end">%.4g</text><text x="%d" y="%.0f" text-anchor="end">0</text>`+"\n", margin-6, top+10, most, margin-6, bottom)
	r.dates(b, bottom)
	for i, name := range slices.Sorted(maps.Keys(lines)) {
		color := colors[i%len(colors)]
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" points="%s"/>`, color, r.points(lines[name], top, most))
		fmt.Fprintf(b, `<text x="%d" y="%.0f" fill="%s">%s</text>`+"\n", margin+160+110*i, top-8, color, name)
	}
}

func (r *Result) x(i int) float64 {
	return margin + float64(i)*float64(pictureWidth-10-margin)/float64(max(len(r.PerDay)-1, 1))
}

// dates writes a date every tenth of the way.
func (r *Result) dates(b *strings.Builder, bottom float64) {
	for i := 0; i < len(r.PerDay); i += max(len(r.PerDay)/9, 1) {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" fill="#666" font-size="10">%s</text>`, r.x(i), bottom+14, r.PerDay[i].Date)
	}
}

func (r *Result) points(of func(Day) (float64, bool), top, most float64) string {
	var out []string
	for i, d := range r.PerDay {
		if v, ok := of(d); ok {
			out = append(out, fmt.Sprintf("%.1f,%.1f", r.x(i), top+panelHeight*(1-v/most)))
		}
	}
	return strings.Join(out, " ")
}

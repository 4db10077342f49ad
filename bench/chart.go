//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"
)

const (
	chartWidth, chartHeight = 860, 760
	plotLeft, plotWidth     = 64, 610
	plotHeight              = 270
)

// colours are told apart also by those who see few of them.
var colours = map[string]string{
	"weir": "#0072b2", "floor": "#555555", "nchan": "#d55e00", "gosse": "#009e73", "r3labs": "#cc79a7", "weir-tls": "#56b4e9",
}

// A line is one server's values.
type line struct {
	name   string
	points []point
}

type point struct {
	x float64
	y spread
}

// costChart draws processor time and memory against the number of readers, memory
// on a logarithmic scale. It returns nil if nothing of it was measured.
func costChart(tables []*table) []byte {
	cpu, memory := curveTables(tables, "cpu"), curveTables(tables, "memory")
	if len(cpu)+len(memory) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, chartHeight)
	drawPlot(&b, 40, "Processor time of the server per delivery, us (40,000 deliveries/s)", lines(cpu, 1e6), false)
	drawPlot(&b, 410, "Memory of the server per idle connection, KiB", lines(memory, 1.0/1024), true)
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

func lines(points []*table, unit float64) (list []line) {
	for _, name := range curveServers(points) {
		l := line{name: name}
		for _, t := range points {
			if s := spreadOf(t.samples[name], t.columns[0].metric); s.n > 0 && s.median > 0 {
				s.median, s.least, s.most = s.median*unit, s.least*unit, s.most*unit
				l.points = append(l.points, point{t.readers(), s})
			}
		}
		if len(l.points) > 0 {
			list = append(list, l)
		}
	}
	return list
}

// A frame maps values to places.
type frame struct {
	top         float64
	right       float64 // the largest x
	log         bool
	low, height float64 // of y, or of log10 y
}

func (f frame) x(v float64) float64 { return plotLeft + plotWidth*v/f.right }

func (f frame) y(v float64) float64 {
	if f.log {
		v = math.Log10(math.Max(v, 1e-9))
	}
	return f.top + plotHeight*(1-(v-f.low)/f.height)
}

// ticks are the values at which the scale has lines.
func (f frame) ticks() (list []float64) {
	if !f.log {
		step := math.Pow(10, math.Floor(math.Log10(f.height)))
		for _, part := range []float64{5, 2} {
			if f.height/step < 5 {
				step /= part
			}
		}
		for v := 0.0; v <= f.height; v += step {
			list = append(list, v)
		}
		return list
	}
	for exponent := math.Floor(f.low); exponent <= f.low+f.height; exponent++ {
		for _, digit := range []float64{1, 2, 5} {
			list = append(list, digit*math.Pow(10, exponent))
		}
	}
	return list
}

// frameOf holds all points, with a margin.
func frameOf(top float64, list []line, log bool) frame {
	least, most, right := math.Inf(1), 0.0, 1.0
	for _, l := range list {
		for _, p := range l.points {
			least, most = math.Min(least, math.Max(p.y.least, p.y.median/10)), math.Max(most, p.y.most)
			right = math.Max(right, p.x)
		}
	}
	if !log {
		return frame{top: top, right: right * 1.02, height: most * 1.1}
	}
	low := math.Log10(least) - 0.1
	return frame{top: top, right: right * 1.02, log: true, low: low, height: math.Log10(most) + 0.1 - low}
}

func drawPlot(b *strings.Builder, top float64, title string, list []line, log bool) {
	if len(list) == 0 {
		return
	}
	f := frameOf(top, list, log)
	fmt.Fprintf(b, `<text x="%d" y="%.0f" font-weight="bold">%s</text>`+"\n", plotLeft, top-14, title)
	drawAxes(b, f, list)
	var labels []float64
	for _, l := range list {
		drawLine(b, f, l)
		labels = append(labels, f.y(l.points[len(l.points)-1].y.median))
	}
	for i, y := range spreadLabels(labels) {
		fmt.Fprintf(b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", plotLeft+plotWidth+10, y+4, colours[list[i].name], findServer(list[i].name).title)
	}
}

func drawAxes(b *strings.Builder, f frame, list []line) {
	fmt.Fprintf(b, `<rect x="%d" y="%.0f" width="%d" height="%d" fill="none" stroke="#999"/>`+"\n", plotLeft, f.top, plotWidth, plotHeight)
	for _, v := range f.ticks() {
		if y := f.y(v); y >= f.top && y <= f.top+plotHeight {
			fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#e4e4e4"/><text x="%d" y="%.1f" text-anchor="end" fill="#444">%.4g</text>`+"\n", plotLeft, y, plotWidth, plotLeft-6, y+4, v)
		}
	}
	last := -100.0
	for _, p := range list[0].points {
		x := f.x(p.x)
		if x-last < 44 {
			continue
		}
		last = x
		fmt.Fprintf(b, `<path d="M%.1f %.0fv5" stroke="#999"/><text x="%.1f" y="%.0f" text-anchor="middle" fill="#444">%s</text>`+"\n", x, f.top+plotHeight, x, f.top+plotHeight+20, thousands(p.x))
	}
	fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="middle" fill="#444">readers</text>`+"\n", plotLeft+plotWidth/2, f.top+plotHeight+38)
}

// drawLine draws the medians, and a bar from the least to the most.
func drawLine(b *strings.Builder, f frame, l line) {
	colour := colours[l.name]
	var path strings.Builder
	for i, p := range l.points {
		x, y := f.x(p.x), f.y(p.y.median)
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/><path d="M%.1f %.1fV%.1f" stroke="%s" stroke-opacity="0.5"/>`+"\n", x, y, colour, x, f.y(p.y.least), f.y(p.y.most), colour)
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
}

// spreadLabels moves labels down until none covers another.
func spreadLabels(ys []float64) []float64 {
	const apart = 16
	out := make([]float64, len(ys))
	placed := make([]bool, len(ys))
	last := math.Inf(-1)
	for range ys {
		next := -1
		for i, y := range ys {
			if !placed[i] && (next < 0 || y < ys[next]) {
				next = i
			}
		}
		placed[next] = true
		last = math.Max(ys[next], last+apart)
		out[next] = last
	}
	return out
}

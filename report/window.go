package report

import "strings"

// elision stands for what is left out; it takes one column.
const elision = "…"

// elided is the cell that stands for what is left out from an offset on.
func elided(offset int) cell { return cell{text: elision, width: 1, offset: offset, elided: true} }

// A window is the part of a line that is shown. What is left out has a cell of its own, whose offset is that of the first
// byte left out after what is shown, or of the last one before it.
type window []cell

// newWindow chooses at most room columns of a line, the stretch of bytes from start to end in the middle. Where the stretch
// itself is too long, its beginning and its end are shown: a rule says at its end what it does.
func newWindow(all []cell, start, end, room int) window {
	if widthOf(all) <= room {
		return all
	}
	from, to := 0, len(all)
	for from < len(all) && all[from].offset < start {
		from++
	}
	for to > from+1 && all[to-1].offset >= end {
		to--
	}
	from = min(from, len(all)-1)
	if widthOf(all[from:to]) > room-2 {
		return folded(all, from, to, room)
	}
	// Take cells on both sides by turns until the room is used up; each side that stays cut needs a column.
	left, right := from, to
	used := widthOf(all[left:right])
	for {
		grown := false
		if left > 0 && used+all[left-1].width+cuts(left-1, right, len(all)) <= room {
			left--
			used += all[left].width
			grown = true
		}
		if right < len(all) && used+all[right].width+cuts(left, right+1, len(all)) <= room {
			used += all[right].width
			right++
			grown = true
		}
		if !grown {
			break
		}
	}
	var w window
	if left > 0 {
		w = append(w, elided(all[left-1].offset))
	}
	w = append(w, all[left:right]...)
	if right < len(all) {
		w = append(w, elided(all[right].offset))
	}
	return w
}

// cuts counts the sides on which a part of n cells leaves something out.
func cuts(left, right, n int) int {
	c := 0
	if left > 0 {
		c++
	}
	if right < n {
		c++
	}
	return c
}

// folded shows the beginning and the end of a stretch that is too long for the room. The end begins at the target, if
// that fits, otherwise at a blank.
func folded(all []cell, from, to, room int) window {
	var w window
	if from > 0 {
		w = append(w, elided(all[from-1].offset))
		room--
	}
	if to < len(all) {
		room--
	}
	tail := to
	used, blank, target := 0, to, to
	for tail > from && used+all[tail-1].width <= room*3/5 {
		tail--
		used += all[tail].width
		if all[tail].text != " " {
			continue
		}
		if used <= room*2/5 {
			blank = tail
		}
		if tail+2 < to && all[tail+1].text == "-" && (all[tail+2].text == "j" || all[tail+2].text == "g") && (tail+3 == to || all[tail+3].text == " ") {
			target = tail
		}
	}
	if target < to {
		blank = target
	}
	head, room := from, room-1-widthOf(all[blank:to])
	for head < blank && room >= all[head].width {
		room -= all[head].width
		head++
	}
	w = append(w, all[from:head]...)
	w = append(w, elided(all[min(head, len(all)-1)].offset))
	w = append(w, all[blank:to]...)
	if to < len(all) {
		w = append(w, elided(all[to].offset))
	}
	return w
}

func widthOf(list []cell) int {
	n := 0
	for _, c := range list {
		n += c.width
	}
	return n
}

func (w window) text() string {
	var b strings.Builder
	for _, c := range w {
		b.WriteString(c.text)
	}
	return b.String()
}

// columns gives the columns of a stretch of bytes in the window's text; ok says whether its first character is shown.
func (w window) columns(start, end int) (from, to int, ok bool) {
	from = -1
	at := 0
	for _, c := range w {
		if c.offset >= start && c.offset < max(end, start+1) {
			if from < 0 {
				from, ok = at, c.offset == start && !c.elided
			}
			to = at + c.width
		}
		at += c.width
	}
	if from < 0 {
		return 0, 0, len(w) == 0
	}
	return from, to, ok
}

package packet

import (
	"math"
	"reflect"
	"testing"
)

func TestAlike(t *testing.T) {
	s := NewSpace(Config{})
	tcp, udp := s.Value(FieldProto, TCP), s.Value(FieldProto, UDP)
	set := tcp.Intersect(s.Range(FieldDPort, 80, 99)).Union(udp.Intersect(s.Range(FieldDPort, 90, 94))).Union(tcp.Intersect(s.Value(FieldDPort, 443)))
	groups, all := set.Alike(FieldDPort, 1, 65535, math.MaxInt)
	want := []Alike{{[][2]uint64{{80, 89}, {95, 99}, {443, 443}}, tcp}, {[][2]uint64{{90, 94}}, tcp.Union(udp)}}
	if !all || !reflect.DeepEqual(groups, want) {
		t.Errorf("%v, %v", groups, all)
	}
	if groups, all = set.Alike(FieldDPort, 81, 85, 1); !all || len(groups) != 1 || groups[0].Ranges[0] != [2]uint64{81, 85} {
		t.Errorf("within: %v, %v", groups, all)
	}
	if groups, all = set.Alike(FieldDPort, 1, 65535, 1); all || groups != nil {
		t.Errorf("too many: %v, %v", groups, all)
	}
	if groups, all = (Set{}).Alike(FieldDPort, 1, 65535, 1); !all || groups != nil {
		t.Errorf("none: %v, %v", groups, all)
	}
}

// Package deploy holds the files of ../../deploy to what will read them: the types of Kubernetes, the Compose specification and
// Prometheus. It stands in the tools' module because those readers weigh more than what they read.
package deploy

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/prometheus/prometheus/promql/parser"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const files = "../../deploy"

func read(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(files, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// object reads one document into the type that it says it is; a field that the type does not have is an error.
func object(doc []byte) (any, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return nil, err
	}
	into := map[string]any{
		"v1 Namespace": &corev1.Namespace{}, "v1 ServiceAccount": &corev1.ServiceAccount{}, "v1 Service": &corev1.Service{}, "v1 ConfigMap": &corev1.ConfigMap{},
		"apps/v1 StatefulSet": &appsv1.StatefulSet{}, "policy/v1 PodDisruptionBudget": &policyv1.PodDisruptionBudget{},
	}[head.APIVersion+" "+head.Kind]
	if into == nil {
		return nil, os.ErrNotExist
	}
	return into, yaml.UnmarshalStrict(doc, into)
}

func TestKubernetesTakesTheManifestsAndTheirPartsFitEachOther(t *testing.T) {
	ports, mounts := map[string]bool{}, 0
	var sets []*appsv1.StatefulSet
	services, accounts := map[string]*corev1.Service{}, map[string]bool{}
	for _, f := range []string{"kubernetes/control.yaml", "kubernetes/gateway.yaml"} {
		for _, doc := range bytes.Split(read(t, f), []byte("\n---\n")) {
			o, err := object(doc)
			if err != nil {
				t.Fatalf("%s: %v in\n%s", f, err, doc)
			}
			switch o := o.(type) {
			case *appsv1.StatefulSet:
				sets = append(sets, o)
			case *corev1.Service:
				services[o.Name] = o
			case *corev1.ServiceAccount:
				accounts[o.Name] = true
			}
		}
	}
	for _, s := range sets {
		pod := s.Spec.Template.Spec
		if services[s.Spec.ServiceName] == nil || !accounts[pod.ServiceAccountName] || s.Spec.Selector.MatchLabels["app"] != s.Spec.Template.Labels["app"] {
			t.Errorf("%s: its service, account or labels are none of these", s.Name)
		}
		have := map[string]bool{}
		for _, v := range pod.Volumes {
			have[v.Name] = true
		}
		for _, v := range s.Spec.VolumeClaimTemplates {
			have[v.Name] = true
		}
		for _, c := range pod.Containers {
			for _, m := range c.VolumeMounts {
				mounts++
				if !have[m.Name] {
					t.Errorf("%s: no volume %s", s.Name, m.Name)
				}
			}
			for _, p := range c.Ports {
				ports[s.Spec.Template.Labels["app"]+" "+p.Name] = true
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if probe != nil && !ports[s.Spec.Template.Labels["app"]+" "+probe.HTTPGet.Port.StrVal] {
					t.Errorf("%s: a probe asks a port that is none", s.Name)
				}
			}
			if sc := c.SecurityContext; sc == nil || *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem {
				t.Errorf("%s: may do more than it needs", s.Name)
			}
		}
	}
	for _, s := range services {
		for _, p := range s.Spec.Ports {
			if !ports[s.Spec.Selector["app"]+" "+p.TargetPort.StrVal] {
				t.Errorf("%s leads to a port that is none: %s", s.Name, p.TargetPort.StrVal)
			}
		}
	}
	if len(sets) != 2 || mounts < 10 {
		t.Errorf("%d sets with %d mounts were read", len(sets), mounts)
	}
	if _, err := object([]byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {selectors: {a: b}}\n")); err == nil {
		t.Error("a misspelt field was taken")
	}
}

func TestComposeTakesItsFile(t *testing.T) {
	load := func(path string) error {
		o, err := cli.NewProjectOptions([]string{path}, cli.WithConsistency(true))
		if err != nil {
			return err
		}
		_, err = o.LoadProject(context.Background())
		return err
	}
	if err := load(filepath.Join(files, "compose/compose.yaml")); err != nil {
		t.Error(err)
	}
	for what, change := range map[string][2]string{"a misspelt key": {"stop_grace_period:", "stop_graceperiod:"}, "a secret that is none": {"secrets: [db-password]", "secrets: [other]"}, "a service that is none": {"depends_on: [control]", "depends_on: [controls]"}} {
		broken := filepath.Join(t.TempDir(), "compose.yaml")
		text := strings.Replace(string(read(t, "compose/compose.yaml")), change[0], change[1], 1)
		if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if load(broken) == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestPrometheusTakesEveryExpression(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(read(t, "prometheus/alerts.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	p := parser.NewParser(parser.Options{})
	seen := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			seen++
			if _, err := p.ParseExpr(r.Expr); err != nil || r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
	}
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := yaml.Unmarshal(read(t, "grafana/fengsui.json"), &board); err != nil {
		t.Fatal(err)
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			seen++
			if _, err := p.ParseExpr(target.Expr); err != nil {
				t.Errorf("%s: %v", target.Expr, err)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d expressions were read", seen)
	}
	if _, err := p.ParseExpr("sum by (state fengsui_gateways"); err == nil {
		t.Error("an expression that is none was taken")
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

func TestRevisionOf(t *testing.T) {
	name := func(p *mrev1.Plugin) string {
		t.Helper()
		r, err := revisionOf(kindPlugin, p, p.Spec)
		if err != nil {
			t.Fatal(err)
		}
		return r.Name
	}
	base := makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", configured(`{"a": 1, "b": {"c": 2, "d": 3}}`))
	if got := name(base); !strings.HasPrefix(got, scenes+"-") || validation.IsDNS1123Label(got) != nil {
		t.Errorf("name %q", got)
	}
	reordered := makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", configured(`{"b":{"d":3,"c":2},"a":1}`))
	reordered.Namespace, reordered.UID, reordered.Generation = "elsewhere", "another", 9
	if name(base) != name(reordered) {
		t.Error("the same spec has another name in another place, or with its keys in another order")
	}
	if changed := makePlugin(scenes, mrev1.ClassFeaturer, "scene-change",
		configured(`{"a": 2}`)); name(base) == name(changed) {
		t.Error("another spec has the same name")
	}
	model, err := revisionOf(kindModel, base, base.Spec)
	if err != nil || model.Name == name(base) {
		t.Errorf("a Model of that name would share the Plugin's revision: %v", err)
	}
	r, _ := revisionOf(kindPlugin, base, base.Spec)
	spec, err := specOf[mrev1.PluginSpec](r, kindPlugin, scenes)
	if err != nil {
		t.Fatal(err)
	}
	if again := makePlugin(scenes, mrev1.ClassFeaturer, ""); name(base) != name(func() *mrev1.Plugin {
		again.Spec = spec
		return again
	}()) {
		t.Error("a spec that was read back has another name")
	}
	if _, err := specOf[mrev1.PluginSpec](r, kindPlugin, peaks); err == nil {
		t.Error("a revision of another Plugin was taken")
	}
}

func TestSurplusRevisions(t *testing.T) {
	var history []appsv1.ControllerRevision
	for i := range 15 {
		history = append(history,
			appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%02d", i)}, Revision: int64(i)})
	}
	got := surplusRevisions(history, "r14", map[string]bool{"r00": true, "r02": true, "": true})
	if d := cmp.Diff([]string{"r03", "r01"}, got); d != "" {
		t.Errorf("surplus (-want +got):\n%s", d)
	}
	if got := surplusRevisions(history[:10], "r09", nil); len(got) != 0 {
		t.Errorf("surplus of ten: %v", got)
	}
}

func TestPinnedProfile(t *testing.T) {
	pin := func(c *Catalogue, change ...func(*mrev1.Plugin)) string {
		t.Helper()
		old := makePlugin(moment, mrev1.ClassSegmenter, "key-moment",
			append([]func(*mrev1.Plugin){dependsOn(peaks)}, change...)...)
		r, err := revisionOf(kindPlugin, old, old.Spec)
		if err != nil {
			t.Fatal(err)
		}
		c.Revisions[r.Name] = r
		return r.Name
	}
	at := func(revision string) *mrev1.Profile {
		return makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter.Plugin.Revision = revision })
	}
	cat := catalogueOf(nil, usualPlugins()...)
	old := pin(cat, configured(`{"preRollSeconds": 9}`))
	plan, err := cat.compilePlan(makeEvent(), at(old))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan.Plugins {
		if p.Name == moment && (p.Configuration["preRollSeconds"] != 9.0 || *p.Revision != old) {
			t.Errorf("the plan has %v of revision %s", p.Configuration, *p.Revision)
		}
		if p.Revision == nil || !strings.HasPrefix(*p.Revision, p.Name+"-") {
			t.Errorf("Plugin %s has no revision", p.Name)
		}
	}
	wantFinding{mrev1.ReasonRevisionNotFound, Wait, []string{"spec.segmenter.plugin.revision", moment + "-gone"}}.
		check(t, cat.checkProfile(at(moment+"-gone")))
	other, err := revisionOf(kindPlugin, usualPlugins()[0], usualPlugins()[0].Spec)
	if err != nil {
		t.Fatal(err)
	}
	cat.Revisions[other.Name] = other
	wantFinding{mrev1.ReasonRevisionNotFound, Wait,
		[]string{"spec.segmenter.plugin.revision", "revision of Plugin " + scenes}}.
		check(t, cat.checkProfile(at(other.Name)))
	wantFinding{mrev1.ReasonReferenceNotReady, Stall, []string{moment, "preRollSeconds"}}.
		check(t, cat.checkProfile(at(pin(cat, configured(`{"preRollSeconds": "never"}`)))))
}

var _ = Describe("Revisions", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	// revisionsOf lists the revisions of an object with their numbers.
	revisionsOf := func(ctx context.Context, kind, name string) func(Gomega) map[string]int64 {
		return func(g Gomega) map[string]int64 {
			list, err := listRevisions(ctx, k8s, ns,
				map[string]string{mrev1.LabelRevisionKind: kind, mrev1.LabelRevisionOf: name})
			g.Expect(err).NotTo(HaveOccurred())
			out := map[string]int64{}
			for _, r := range list {
				out[r.Name] = r.Revision
			}
			return out
		}
	}
	revisionOfPlugin := func(ctx context.Context, p *mrev1.Plugin) string {
		GinkgoHelper()
		Eventually(conditionOf(ctx, p, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Expect(p.Status.Revision).NotTo(BeEmpty())
		return p.Status.Revision
	}

	It("keep every version, give an old one its name back, and are bounded", func(ctx context.Context) {
		p := in(ns, makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", configured(`{"threshold": 0.5}`)))
		Expect(k8s.Create(ctx, p)).To(Succeed())
		first := revisionOfPlugin(ctx, p)
		Eventually(revisionsOf(ctx, kindPlugin, scenes)).Should(Equal(map[string]int64{first: 1}))
		var r appsv1.ControllerRevision
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: first}, &r)).To(Succeed())
		Expect(metav1.IsControlledBy(&r, p)).To(BeTrue())

		edit(ctx, p, configured(`{"threshold": 0.6}`))
		second := revisionOfPlugin(ctx, p)
		Eventually(revisionsOf(ctx, kindPlugin, scenes)).Should(Equal(map[string]int64{first: 1, second: 2}))
		edit(ctx, p, configured(`{"threshold": 0.5}`))
		Eventually(revisionsOf(ctx, kindPlugin, scenes)).
			Should(And(HaveKeyWithValue(first, BeNumerically(">", 2)), HaveKeyWithValue(second, int64(2))))
		Expect(revisionOfPlugin(ctx, p)).To(Equal(first))

		By("keeping the pinned one, and no more than the history of the others")
		profile := in(ns, makeProfile(func(p *mrev1.Profile) {
			p.Spec.Featurers = featurers(use(scenes))
			p.Spec.Featurers[0].Plugin.Revision = second
		}))
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(profile), profile)).To(Succeed())
			g.Expect(profile.Status.Revision).NotTo(BeEmpty())
		}).Should(Succeed())
		for i := range revisionHistory + 4 {
			edit(ctx, p, configured(fmt.Sprintf(`{"threshold": 0.7%d}`, i)))
			revisionOfPlugin(ctx, p)
		}
		Eventually(revisionsOf(ctx, kindPlugin, scenes)).
			Should(And(HaveKey(second), Not(HaveKey(first)), HaveLen(revisionHistory+2)))
		Consistently(revisionsOf(ctx, kindPlugin, scenes), time.Second).Should(HaveKey(second))
	})

	It("of Profiles and Models are kept, too", func(ctx context.Context) {
		m := in(ns, makeModel("m", mrev1.ClassFeaturer))
		Expect(k8s.Create(ctx, m)).To(Succeed())
		Eventually(conditionOf(ctx, m, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Expect(revisionsOf(ctx, kindModel, "m")(Default)).To(HaveKey(m.Status.Revision))
	})

	It("make a roll-back a matter of naming one, and a missing one is named with its field", func(ctx context.Context) {
		plugins := usualPlugins()
		for _, p := range plugins {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		profile := in(ns, makeProfile())
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		good := profile.Status.Revision

		By("breaking the Profile and pinning the version before")
		edit(ctx, profile, func(p *mrev1.Profile) { p.Spec.Segmenter = use("no-such-plugin") })
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonReferenceNotFound))
		missing := in(ns, makeEvent(func(e *mrev1.Event) { e.Name, e.Spec.ProfileRef.Revision = "missing", "soccer-gone" }))
		Expect(k8s.Create(ctx, missing)).To(Succeed())
		Eventually(conditionOf(ctx, missing, mrev1.ConditionReferencesResolved)).Should(
			is("False", mrev1.ReasonRevisionNotFound, "spec.profileRef.revision", "soccer-gone"))
		e := in(ns, makeEvent(func(e *mrev1.Event) { e.Spec.ProfileRef.Revision = good }))
		Expect(k8s.Create(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
		Expect(e.Status.ProfileRevision).To(Equal(good))

		By("pinning a Plugin's version in the Profile")
		old := revisionOfPlugin(ctx, plugins[2])
		edit(ctx, plugins[2], configured(`{"preRollSeconds": "soon"}`))
		edit(ctx, profile, func(p *mrev1.Profile) { p.Spec.Segmenter = use(moment) })
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonReferenceNotReady))
		edit(ctx, profile, func(p *mrev1.Profile) { p.Spec.Segmenter.Plugin.Revision = old })
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		edit(ctx, profile, func(p *mrev1.Profile) { p.Spec.Segmenter.Plugin.Revision = moment + "-gone" })
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReferencesResolved)).
			Should(is("False", mrev1.ReasonRevisionNotFound, "spec.segmenter.plugin.revision"))
	})

	It("protect a running Event from edits and deletions", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		hash, slots := e.Status.PlanHash, e.Status.Slots
		key := client.ObjectKey{Namespace: ns, Name: snapshotName(e)}
		var before, after appsv1.ControllerRevision
		Expect(k8s.Get(ctx, key, &before)).To(Succeed())
		Expect(metav1.IsControlledBy(&before, e)).To(BeTrue())
		for _, p := range usualPlugins() {
			Expect(string(before.Data.Raw)).To(ContainSubstring(`"revision":"` + p.Name + `-`))
		}

		var profile mrev1.Profile
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "soccer"}, &profile)).To(Succeed())
		edit(ctx, &profile, func(p *mrev1.Profile) { p.Spec.ChunkSeconds, p.Spec.Processing.MinWorkers = 2, 9 })
		peak := in(ns, usualPlugins()[1])
		edit(ctx, peak, configured(`{"riseDb": 3}`))
		Expect(k8s.Delete(ctx, &profile)).To(Succeed())
		for _, p := range usualPlugins() {
			Expect(k8s.Delete(ctx, in(ns, p))).To(Succeed())
		}
		fail(ctx, e, Slot{RoleWorker, "", 1}, 1)
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-2", "render-0-1"))
		play(ctx, e)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(e.Status.PlanHash).To(Equal(hash))
		Expect(slots.Workers).To(BeEquivalentTo(2))
		Expect(k8s.Get(ctx, key, &after)).To(Succeed())
		Expect(after.Data.Raw).To(MatchJSON(before.Data.Raw))
		Expect(e.Status.Progress.Chunks.Processed).To(BeEquivalentTo(2), "chunks of 20 s, as when it started")
	})

	It("hand the same plan over again, whatever was edited meanwhile", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		hash := e.Status.PlanHash
		var profile mrev1.Profile
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "soccer"}, &profile)).To(Succeed())
		edit(ctx, &profile, func(p *mrev1.Profile) { p.Spec.ChunkSeconds = 2 })
		snap, err := readSnapshot(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		Expect(snap.Plan.Hash).To(Equal(hash))
		again, err := planHash(snap.Plan)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(hash), "the plan reads back as it was")
	})
})

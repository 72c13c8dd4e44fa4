(** Runs of a step over n slots, from t_n down to t_0, their inverses, and sums over slots. *)

From Coq Require Import PeanoNat Lia Ring Field.
From BDIA Require Import Algebra.

(** Step k goes from t_(k+1) to t_k; [undo k] goes back. *)

Fixpoint run {A : Type} (step : nat -> A -> A) (n : nat) (s : A) : A :=
  match n with
  | O => s
  | S k => run step k (step k s)
  end.

Fixpoint run_back {A : Type} (undo : nat -> A -> A) (n : nat) (s : A) : A :=
  match n with
  | O => s
  | S k => undo k (run_back undo k s)
  end.

Lemma back_after_run {A : Type} (step undo : nat -> A -> A) :
  (forall k s, undo k (step k s) = s) -> forall n s, run_back undo n (run step n s) = s.
Proof.
  intros inverse n. induction n as [|k IH]; intro s; cbn; [easy|]. now rewrite IH.
Qed.

Lemma run_after_back {A : Type} (step undo : nat -> A -> A) :
  (forall k s, step k (undo k s) = s) -> forall n s, run step n (run_back undo n s) = s.
Proof.
  intros inverse n. induction n as [|k IH]; intro s; cbn; [easy|]. now rewrite inverse.
Qed.

(** All states of a run: [states step n s i] is the one at t_i, for i <= n. *)

Definition follows {A : Type} (step : nat -> A -> A) (n : nat) (s : nat -> A) : Prop :=
  forall k, k < n -> s k = step k (s (S k)).

Fixpoint states {A : Type} (step : nat -> A -> A) (n : nat) (s : A) (i : nat) : A :=
  match n with
  | O => s
  | S k => if Nat.eqb i n then s else states step k (step k s) i
  end.

Lemma states_start {A : Type} (step : nat -> A -> A) (n : nat) (s : A) : states step n s n = s.
Proof. destruct n; [easy|]. cbn. now rewrite Nat.eqb_refl. Qed.

Lemma states_end {A : Type} (step : nat -> A -> A) (n : nat) : forall s, states step n s 0 = run step n s.
Proof. induction n as [|k IH]; intro s; [easy|]. cbn. apply IH. Qed.

Lemma states_follow {A : Type} (step : nat -> A -> A) (n : nat) : forall s, follows step n (states step n s).
Proof.
  induction n as [|n IH]; intros s k below; [lia|].
  cbn [states]. replace (Nat.eqb k (S n)) with false by (symmetry; apply Nat.eqb_neq; lia).
  destruct (Nat.eq_dec k n) as [->|other].
  - now rewrite Nat.eqb_refl, states_start.
  - replace (Nat.eqb (S k) (S n)) with false by (symmetry; apply Nat.eqb_neq; lia).
    apply IH. lia.
Qed.

(** States z_N, ..., z_0 of a two-step method: z_(N-1) by its start, the others by steps on (z_(k+2), z_(k+1)). *)

Definition two_step_states {A : Type} (start : nat -> A -> A) (step : nat -> A * A -> A * A) (N : nat) (z : nat -> A) : Prop :=
  z (N - 1) = start (N - 1) (z N) /\ forall k, S (S k) <= N -> (z (S k), z k) = step k (z (S (S k)), z (S k)).

(** There are such states for every z_N, and the last two are those of the run. *)

Theorem two_step_states_exist {A : Type} (start : nat -> A -> A) (step : nat -> A * A -> A * A) (N : nat) (first : A) :
  1 <= N -> (forall k s, fst (step k s) = snd s) ->
  exists z, z N = first /\ two_step_states start step N z
    /\ (z 1, z 0) = run step (N - 1) (first, start (N - 1) first).
Proof.
  intros positive hands_on.
  set (pair := states step (N - 1) (first, start (N - 1) first)).
  set (z := fun i => if Nat.eqb i N then first else snd (pair i)).
  assert (inner : forall i, i < N -> z i = snd (pair i)).
  { intros i below. unfold z. now replace (Nat.eqb i N) with false by (symmetry; apply Nat.eqb_neq; lia). }
  assert (pairs : forall i, S i <= N -> pair i = (z (S i), z i)).
  { intros i below. rewrite (inner i) by lia.
    enough (older : fst (pair i) = z (S i)) by (rewrite <- older; apply surjective_pairing).
    destruct (Nat.eq_dec i (N - 1)) as [->|other].
    - unfold pair, z. rewrite states_start. now replace (S (N - 1)) with N by lia; rewrite Nat.eqb_refl.
    - rewrite (inner (S i)) by lia. unfold pair. rewrite states_follow by lia. apply hands_on. }
  exists z. repeat split.
  - unfold z. now rewrite Nat.eqb_refl.
  - rewrite inner by lia. unfold z. rewrite Nat.eqb_refl. unfold pair. now rewrite states_start.
  - intros k below. rewrite <- !pairs by lia. apply states_follow. lia.
  - rewrite <- pairs by lia. apply states_end.
Qed.

(** Powers, parities, and sums. *)

Section Sums.
Context {F : Field} {V : Space F}.

Add Field sum_scalars : (field_laws F).

Fixpoint power (x : F) (m : nat) : F :=
  match m with
  | O => 1
  | S l => x * power x l
  end%F.

(** mod(m, 2), as a scalar. *)

Fixpoint odd (m : nat) : F :=
  match m with
  | O => 0%F
  | S O => 1%F
  | S (S l) => odd l
  end.

Lemma odd_or_even (m : nat) : (odd m + odd (S m))%F = 1%F.
Proof.
  induction m as [|m IH]; [cbn; ring|].
  change (odd (S (S m))) with (odd m). rewrite <- IH. ring.
Qed.

(** The sum of f d over d < n, and that of f j over j = a, ..., b (empty if b < a). *)

Fixpoint sum (n : nat) (f : nat -> V) : V :=
  match n with
  | O => v0
  | S m => f O +: sum m (fun d => f (S d))
  end.

Definition sum_over (a b : nat) (f : nat -> V) : V := sum (S b - a) (fun d => f (a + d)).

Lemma sum_ext (n : nat) : forall f h, (forall d, d < n -> f d = h d) -> sum n f = sum n h.
Proof.
  induction n as [|n IH]; intros f h same; [easy|]. cbn.
  rewrite (same O) by lia. f_equal. apply IH. intros d below. apply same. lia.
Qed.

Lemma sum_scale (a : F) (n : nat) : forall f, a *: sum n f = sum n (fun d => a *: f d).
Proof.
  induction n as [|n IH]; intro f; cbn; [apply scale_v0|]. now rewrite scale_vadd, IH.
Qed.

Lemma sum_add (n : nat) : forall f h, sum n f +: sum n h = sum n (fun d => f d +: h d).
Proof.
  induction n as [|n IH]; intros f h; cbn; [apply vadd_0|]. now rewrite vadd_exchange, IH.
Qed.

Lemma sum_last (n : nat) : forall f, sum (S n) f = sum n f +: f n.
Proof.
  induction n as [|n IH]; intro f; [cbn; linear|].
  change (sum (S (S n)) f) with (f O +: sum (S n) (fun d => f (S d))).
  rewrite IH. cbn [sum]. linear.
Qed.

End Sums.

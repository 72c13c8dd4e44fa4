(** Proposition 1: every state of BDIA as the first one plus averages of increments, and (32), its case gamma = 1. *)

From Coq Require Import PeanoNat Lia Ring Field.
From BDIA Require Import Algebra Runs Steps Increments.

Section Proposition_1.
Context {F : Field} {V : Space F}.

Add Field proposition_1_scalars : (field_laws F).

(** z_(N-1) by (25), and z_k, k <= N-2, by (27), with any increments delta i j z = Delta(t_i -> t_j | z). *)

Definition bdia_states (delta : nat -> nat -> V -> V) (g : F) (N : nat) (z : nat -> V) : Prop :=
  two_step_states (ddim_step_by delta) (bdia_step_by delta (fun _ => g)) N z.

(** (30) and (31): the weights, and the sum. *)

Definition forward_weight (g : F) (m : nat) : F := ((1 - power (- g) m) / (1 + g))%F.
Definition backward_weight (g : F) (m : nat) : F := ((g + power (- g) m) / (1 + g))%F.

Definition averaged_slots (delta : nat -> nat -> V -> V) (g : F) (N i : nat) (z : nat -> V) : V :=
  sum_over (i + 2) N (fun j =>
    forward_weight g (j - i) *: delta j (j - 1) (z j) -: backward_weight g (j - i) *: delta (j - 1) j (z (j - 1))).

(** Both increments of the slot from t_(j+1) to t_j, with the weights that they have m slots later. *)

Let slot (delta : nat -> nat -> V -> V) (g : F) (z : nat -> V) (j m : nat) : V :=
  forward_weight g m *: delta (S j) j (z (S j)) -: backward_weight g m *: delta j (S j) (z j).

Lemma slots_of_two_states (delta : nat -> nat -> V -> V) (g : F) (z : nat -> V) (k n : nat) :
  (1 + g)%F <> 0%F ->
  sum n (fun d => slot delta g z (k + S (S d)) (S (S (S d))))
  = g *: sum n (fun d => slot delta g z (S (S k) + d) (S d))
    +: (1 - g) *: sum n (fun d => slot delta g z (S k + S d) (S (S d))).
Proof.
  intro regular. rewrite !sum_scale, sum_add. apply sum_ext. intros d _.
  replace (S (S k) + d)%nat with (k + S (S d))%nat by lia.
  replace (S k + S d)%nat with (k + S (S d))%nat by lia.
  unfold slot, forward_weight, backward_weight. cbn [power]. linear.
Qed.

Lemma all_slots (delta : nat -> nat -> V -> V) (g : F) (N : nat) (z : nat -> V) :
  (1 + g)%F <> 0%F -> bdia_states delta g N z ->
  forall m i, i + m = N -> z i = z N +: sum m (fun d => slot delta g z (i + d) (S d)).
Proof.
  intros regular [first next].
  (* two states in a row carry the induction *)
  assert (pair : forall m,
    (forall i, i + m = N -> z i = z N +: sum m (fun d => slot delta g z (i + d) (S d)))
    /\ (forall i, i + S m = N -> z i = z N +: sum (S m) (fun d => slot delta g z (i + d) (S d)))).
  2: { intros m. apply (pair m). }
  induction m as [|m [older newer]]; split.
  - intros i <-. rewrite Nat.add_0_r. cbn. linear.
  - intros i last. replace (N - 1) with i in first by lia. rewrite first. subst N.
    rewrite Nat.add_1_r. cbn [sum]. rewrite Nat.add_0_r.
    unfold ddim_step_by, slot, forward_weight, backward_weight. cbn [power]. linear.
  - exact newer.
  - intros i place. specialize (next i ltac:(lia)). apply (f_equal snd) in next. cbn in next. rewrite next.
    specialize (older (S (S i)) ltac:(lia)). specialize (newer (S i) ltac:(lia)).
    change (sum (S (S m)) (fun d => slot delta g z (i + d) (S d)))
      with (slot delta g z (i + 0) 1 +: (slot delta g z (i + 1) 2
            +: sum m (fun d => slot delta g z (i + S (S d)) (S (S (S d)))))).
    rewrite slots_of_two_states by easy.
    change (sum (S m) (fun d => slot delta g z (S i + d) (S d)))
      with (slot delta g z (S i + 0) 1 +: sum m (fun d => slot delta g z (S i + S d) (S (S d)))) in newer.
    set (one := sum m (fun d => slot delta g z (S i + S d) (S (S d)))) in *.
    set (two := sum m (fun d => slot delta g z (S (S i) + d) (S d))) in *.
    revert newer. replace (i + 1) with (S i) by lia. rewrite !Nat.add_0_r. unfold slot, forward_weight, backward_weight.
    generalize (delta (S i) i (z (S i))) (delta i (S i) (z i)) (delta (S i) (S (S i)) (z (S i)))
      (delta (S (S i)) (S i) (z (S (S i)))).
    intros. rewrite newer, older. cbn [power]. linear.
Qed.

Lemma averaged_slots_are_slots (delta : nat -> nat -> V -> V) (g : F) (N i : nat) (z : nat -> V) :
  averaged_slots delta g N i z = sum (N - i - 1) (fun d => slot delta g z (i + S d) (S (S d))).
Proof.
  unfold averaged_slots, sum_over. replace (S N - (i + 2)) with (N - i - 1) by lia.
  apply sum_ext. intros d _. unfold slot.
  replace (i + 2 + d - i) with (S (S d)) by lia. replace (i + 2 + d - 1) with (i + S d) by lia.
  now replace (i + 2 + d) with (S (i + S d)) by lia.
Qed.

Theorem proposition_1 (delta : nat -> nat -> V -> V) (g : F) (N : nat) (z : nat -> V) :
  (1 + g)%F <> 0%F -> bdia_states delta g N z ->
  forall i, i < N -> z i = z N +: averaged_slots delta g N i z +: delta (S i) i (z (S i)).
Proof.
  intros regular path i below. rewrite averaged_slots_are_slots.
  rewrite (all_slots delta g N z regular path (N - i) i) at 1 by lia.
  replace (N - i) with (S (N - i - 1)) by lia. cbn [sum]. rewrite Nat.add_0_r.
  replace (S (N - i - 1) - 1) with (N - i - 1) by lia.
  unfold slot at 1, forward_weight, backward_weight. cbn [power]. linear.
Qed.

(** The two weights of a slot, of which the second is subtracted, sum to 1. *)

Theorem weights_sum_to_1 (g : F) (m : nat) :
  (1 + g)%F <> 0%F -> (forward_weight g m + backward_weight g m)%F = 1%F.
Proof. intro regular. unfold forward_weight, backward_weight. field. exact regular. Qed.

(** (32), in its right form, over any field: also where 1 + 1 = 0. *)

Definition both (delta : nat -> nat -> V -> V) (z : nat -> V) (j : nat) : V :=
  delta j (j - 1) (z j) -: delta j (j + 1) (z j).

Let both_from (delta : nat -> nat -> V -> V) (z : nat -> V) (i m : nat) : V :=
  sum m (fun d => odd (S d) *: both delta z (i + S d)).

Lemma step_at_1 (delta : nat -> nat -> V -> V) (N : nat) (z : nat -> V) (k : nat) :
  bdia_states delta 1 N z -> S (S k) <= N -> z k = z (S (S k)) +: both delta z (S k).
Proof.
  intros [_ next] below. specialize (next k below). apply (f_equal snd) in next. cbn in next. rewrite next.
  unfold both. rewrite Nat.add_1_r. cbn [Nat.sub]. rewrite Nat.sub_0_r. linear.
Qed.

Lemma all_at_1 (delta : nat -> nat -> V -> V) (N : nat) (z : nat -> V) :
  bdia_states delta 1 N z ->
  forall m i, i + S m = N -> z i = z N +: odd (S m) *: delta N (N - 1) (z N) +: both_from delta z i m.
Proof.
  intros path.
  assert (pair : forall m,
    (forall i, i + S m = N -> z i = z N +: odd (S m) *: delta N (N - 1) (z N) +: both_from delta z i m)
    /\ (forall i, i + S (S m) = N -> z i = z N +: odd m *: delta N (N - 1) (z N) +: both_from delta z i (S m))).
  2: { intros m. apply (pair m). }
  induction m as [|m [older newer]]; split.
  - intros i last. destruct path as [first _]. replace (N - 1) with i in first by lia. rewrite first.
    replace (N - 1) with i by lia. unfold ddim_step_by. replace (S i) with N by lia. cbn. linear.
  - intros i last. rewrite (step_at_1 delta N z i path) by lia. replace (S (S i)) with N by lia.
    cbn. rewrite Nat.add_1_r. linear.
  - exact newer.
  - intros i place. rewrite (step_at_1 delta N z i path) by lia. rewrite (older (S (S i))) by lia.
    change (both_from delta z i (S (S m)))
      with (odd 1 *: both delta z (i + 1) +: (odd 2 *: both delta z (i + 2)
            +: sum m (fun d => odd (S d) *: both delta z (i + S (S (S d)))))).
    unfold both_from. rewrite (sum_ext m _ (fun d => odd (S d) *: both delta z (i + S (S (S d))))).
    2: { intros d _. now replace (S (S i) + S d) with (i + S (S (S d))) by lia. }
    rewrite Nat.add_1_r. cbn [odd]. linear.
Qed.

Theorem equation_32 (delta : nat -> nat -> V -> V) (N : nat) (z : nat -> V) :
  bdia_states delta 1 N z ->
  forall i, i < N ->
  z i = z N +: odd (N - i) *: delta N (N - 1) (z N) +: sum_over (i + 1) (N - 1) (fun j => odd (j - i) *: both delta z j).
Proof.
  intros path i below. rewrite (all_at_1 delta N z path (N - i - 1) i) at 1 by lia.
  replace (S (N - i - 1)) with (N - i) by lia. f_equal. unfold both_from, sum_over.
  replace (S (N - 1) - (i + 1)) with (N - i - 1) by lia. apply sum_ext. intros d _.
  replace (i + 1 + d - i) with (S d) by lia. now replace (i + 1 + d) with (i + S d) by lia.
Qed.

(** Such states exist, from any z_N. *)

Theorem bdia_states_exist (delta : nat -> nat -> V -> V) (g : F) (N : nat) (first : V) :
  1 <= N -> exists z, z N = first /\ bdia_states delta g N z.
Proof.
  intro positive.
  destruct (two_step_states_exist (ddim_step_by delta) (bdia_step_by delta (fun _ => g)) N first positive) as [z made].
  - now intros k [z_prev z].
  - exists z. split; apply made.
Qed.

End Proposition_1.

(** The same for the program that runs, with DDIM's increments and any eps. *)

Section Proposition_1_DDIM.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

Definition bdia_ddim_states (g : F) (N : nat) (z : nat -> V) : Prop :=
  two_step_states (ddim_step alpha sigma eps) (bdia_step alpha sigma eps (fun _ => g)) N z.

Lemma bdia_ddim_increments (g : F) (N : nat) (z : nat -> V) :
  bdia_ddim_states g N z -> bdia_states (ddim_delta alpha sigma eps) g N z.
Proof.
  intros [first next]. split.
  - now rewrite <- ddim_step_increments.
  - intros k below. rewrite <- bdia_step_increments by easy. now apply next.
Qed.

Theorem proposition_1_ddim (g : F) (N : nat) (z : nat -> V) :
  (1 + g)%F <> 0%F -> bdia_ddim_states g N z ->
  forall i, i < N ->
  z i = z N +: averaged_slots (ddim_delta alpha sigma eps) g N i z +: ddim_delta alpha sigma eps (S i) i (z (S i)).
Proof. intros regular path. now apply proposition_1, bdia_ddim_increments. Qed.

End Proposition_1_DDIM.

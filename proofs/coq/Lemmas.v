(** Lemmas 1 and 2: the states of CBDIA as the first one plus increments; and CBDIA with (0, 1) as BDIA with gamma = 1. *)

From Coq Require Import PeanoNat Lia Ring Field.
From BDIA Require Import Algebra Runs Steps Increments Proposition1.

Section Lemmas.
Context {F : Field} {V : Space F} (delta : nat -> nat -> V -> V).

Add Field lemma_scalars : (field_laws F).

(** States (z_i, y_i) of CBDIA by (43)-(46), with any increments, and gammas that may vary with the slot. *)

Definition cbdia_states (gamma1 gamma2 : nat -> F) (N : nat) (s : nat -> V * V) : Prop :=
  follows (cbdia_step_by delta gamma1 gamma2) N s.

Theorem cbdia_states_exist (gamma1 gamma2 : nat -> F) (N : nat) (first : V * V) :
  exists s, s N = first /\ cbdia_states gamma1 gamma2 N s.
Proof.
  exists (states (cbdia_step_by delta gamma1 gamma2) N first). split; [apply states_start|apply states_follow].
Qed.

(** The m slots down to t_i: in the slot from t_(j+1) to t_j, d = j - i, the one increment with weight a d less the other with b d. *)

Let slots (forth back : nat -> V) (a b : nat -> F) (i m : nat) : V :=
  sum m (fun d => a d *: forth (i + d) -: b d *: back (i + d)).

Lemma slots_first (forth back : nat -> V) (a b : nat -> F) (i m : nat) :
  slots forth back a b i (S m)
  = (a O *: forth i -: b O *: back i) +: slots forth back (fun d => a (S d)) (fun d => b (S d)) (S i) m.
Proof.
  unfold slots. cbn [sum]. rewrite Nat.add_0_r. f_equal. apply sum_ext. intros d _.
  now replace (i + S d) with (S i + d) by lia.
Qed.

Lemma slots_over (forth back : nat -> V) (a b : nat -> F) (i N : nat) :
  slots forth back a b i (N - i)
  = sum_over (i + 1) N (fun j => a (j - i - 1)%nat *: forth (j - 1) -: b (j - i - 1)%nat *: back (j - 1)).
Proof.
  unfold slots, sum_over. replace (S N - (i + 1)) with (N - i) by lia. apply sum_ext. intros d _.
  replace (i + 1 + d - i - 1) with d by lia. now replace (i + 1 + d - 1) with (i + d) by lia.
Qed.

Section Lemma_1.
Variables (N : nat) (s : nat -> V * V).
Let z (i : nat) : V := fst (s i).
Let y (i : nat) : V := snd (s i).
Hypothesis path : cbdia_states (fun _ => 0%F) (fun _ => 1%F) N s.
Hypothesis start : z N = y N.

(** (51) and (52). *)

Theorem equations_51_52 (k : nat) : k < N ->
  y k = z (S k) +: delta (S k) k (y (S k)) /\ z k = y (S k) -: delta k (S k) (y k).
Proof.
  intro below. unfold z, y. specialize (path k below). destruct (s (S k)) as [z_i y_i].
  cbn [fst snd]. rewrite path. unfold cbdia_step_by. cbv beta iota zeta. cbn [fst snd].
  split; linear_up_to delta.
Qed.

Let forth (j : nat) : V := delta (S j) j (y (S j)).
Let back (j : nat) : V := delta j (S j) (y j).

Lemma all_slots_01 (m : nat) : forall i, i + m = N ->
  y i = y N +: slots forth back (fun d => odd (S d)) odd i m
  /\ z i = y N +: slots forth back odd (fun d => odd (S d)) i m.
Proof.
  induction m as [|m IH]; intros i place.
  - rewrite Nat.add_0_r in place. subst i. rewrite start. split; cbn; linear.
  - destruct (IH (S i) ltac:(lia)) as [in_y in_z]. destruct (equations_51_52 i ltac:(lia)) as [to_y to_z].
    rewrite !slots_first. fold (back i) in to_z. fold (forth i) in to_y.
    rewrite to_y, to_z, in_y, in_z.
    change (fun d => odd (S (S d))) with (@odd F). change (@odd F 1) with (@f1 F). change (@odd F 0) with (@f0 F).
    split; linear.
Qed.

(** In the slot from t_j to t_(j-1), y_i goes forwards if j - i is odd, and backwards otherwise; z_i does the opposite. *)

Theorem lemma_1_directions (i : nat) : i <= N ->
  y i = y N +: sum_over (i + 1) N (fun j =>
    odd (j - i) *: delta j (j - 1) (y j) -: odd (j - i - 1) *: delta (j - 1) j (y (j - 1)))
  /\ z i = y N +: sum_over (i + 1) N (fun j =>
    odd (j - i - 1) *: delta j (j - 1) (y j) -: odd (j - i) *: delta (j - 1) j (y (j - 1))).
Proof.
  intro below. destruct (all_slots_01 (N - i) i ltac:(lia)) as [in_y in_z].
  rewrite in_y, in_z, !slots_over. unfold sum_over, forth, back.
  split; f_equal; apply sum_ext; intros d _.
  all: replace (i + 1 + d - i - 1) with d by lia; replace (i + 1 + d - i) with (S d) by lia.
  all: now replace (S (i + 1 + d - 1)) with (i + 1 + d) by lia.
Qed.

(** Remark 2: y runs through the states of BDIA with gamma = 1. *)

Theorem cbdia_01_is_bdia : 1 <= N -> bdia_states delta 1 N y.
Proof.
  intro positive. split.
  - destruct (equations_51_52 (N - 1) ltac:(lia)) as [to_y _]. rewrite to_y.
    replace (S (N - 1)) with N by lia. rewrite start. unfold ddim_step_by. now replace (S (N - 1)) with N by lia.
  - intros k below. unfold bdia_step_by. f_equal.
    destruct (equations_51_52 k ltac:(lia)) as [to_y _]. destruct (equations_51_52 (S k) ltac:(lia)) as [_ to_z].
    rewrite to_y at 1. rewrite to_z at 1. linear.
Qed.

(** (56) and (57), in their right form. *)

Theorem lemma_1 (i : nat) : i < N ->
  y i = y N +: odd (N - i) *: delta N (N - 1) (y N)
        +: sum_over (i + 1) (N - 1) (fun j => odd (j - i) *: (delta j (j - 1) (y j) -: delta j (j + 1) (y j)))
  /\ z i = y N +: odd (N - i - 1) *: delta N (N - 1) (y N)
           +: sum_over (i + 2) (N - 1) (fun j => odd (j - i - 1) *: (delta j (j - 1) (y j) -: delta j (j + 1) (y j)))
           -: delta i (i + 1) (y i).
Proof.
  intro below. pose proof (equation_32 delta N y (cbdia_01_is_bdia ltac:(lia))) as in_y.
  split; [exact (in_y i below)|].
  destruct (equations_51_52 i below) as [_ to_z]. rewrite to_z, Nat.add_1_r. f_equal.
  destruct (Nat.eq_dec (S i) N) as [<-|other].
  - replace (S i - i - 1) with 0 by lia. replace (S i - 1) with i by lia. unfold sum_over.
    replace (S i - (i + 2)) with 0 by lia. cbn. linear.
  - rewrite (in_y (S i)) at 1 by lia. replace (N - S i) with (N - i - 1) by lia. f_equal.
    unfold sum_over. replace (S i + 1) with (i + 2) by lia. apply sum_ext. intros d _.
    now replace (i + 2 + d - S i) with (i + 2 + d - i - 1) by lia.
Qed.
End Lemma_1.

Section Lemma_2.
Variables (N : nat) (s : nat -> V * V).
Let z (i : nat) : V := fst (s i).
Let y (i : nat) : V := snd (s i).
Hypothesis path : cbdia_states (fun _ => 1%F) (fun _ => 0%F) N s.

Theorem equations_58_59 (k : nat) : k < N ->
  z k = z (S k) +: delta (S k) k (y (S k)) /\ y k = y (S k) -: delta k (S k) (z k).
Proof.
  intro below. unfold z, y. specialize (path k below). destruct (s (S k)) as [z_i y_i].
  cbn [fst snd]. rewrite path. unfold cbdia_step_by. cbv beta iota zeta. cbn [fst snd].
  split; linear_up_to delta.
Qed.

Lemma all_slots_10 (m : nat) : forall i, i + m = N ->
  y i = y N -: sum m (fun d => delta (i + d) (i + d + 1) (z (i + d)))
  /\ z i = z N +: sum m (fun d => delta (i + 1 + d) (i + 1 + d - 1) (y (i + 1 + d))).
Proof.
  induction m as [|m IH]; intros i place.
  - rewrite Nat.add_0_r in place. subst i. cbn. split; linear.
  - destruct (IH (S i) ltac:(lia)) as [in_y in_z]. destruct (equations_58_59 i ltac:(lia)) as [to_z to_y].
    cbn [sum]. split.
    + rewrite to_y, in_y at 1. rewrite Nat.add_0_r, Nat.add_1_r.
      rewrite (sum_ext m _ (fun d => delta (i + S d) (i + S d + 1) (z (i + S d)))); [linear|].
      intros d _. now replace (S i + d) with (i + S d) by lia.
    + rewrite to_z, in_z at 1. replace (i + 1 + 0) with (S i) by lia. replace (S i - 1) with i by lia.
      rewrite (sum_ext m _ (fun d => delta (i + 1 + S d) (i + 1 + S d - 1) (y (i + 1 + S d)))); [linear|].
      intros d _. now replace (S i + 1 + d) with (i + 1 + S d) by lia.
Qed.

(** z_N = y_N is not needed. *)

Theorem lemma_2 (i : nat) : i < N ->
  y i = y N -: sum_over i (N - 1) (fun j => delta j (j + 1) (z j))
  /\ z i = z N +: sum_over (i + 1) N (fun j => delta j (j - 1) (y j)).
Proof.
  intro below. destruct (all_slots_10 (N - i) i ltac:(lia)) as [in_y in_z]. unfold sum_over.
  replace (S (N - 1) - i) with (N - i) by lia. replace (S N - (i + 1)) with (N - i) by lia. now split.
Qed.
End Lemma_2.

(** For any gammas, both states average the two increments of each past slot: w_k is z_(k+1) after the forward one, (43). *)

Section Average.
Variables (gamma1 gamma2 : nat -> F) (N : nat) (s : nat -> V * V).
Let z (i : nat) : V := fst (s i).
Let y (i : nat) : V := snd (s i).
Let w (k : nat) : V := z (S k) +: delta (S k) k (y (S k)).
Hypothesis path : cbdia_states gamma1 gamma2 N s.
Hypothesis start : z N = y N.

(** Weights of the forward increment, d slots above t_i, in z_i and in y_i; those of the backward one are less by 1. *)

Fixpoint forward_weights (i d : nat) : F * F :=
  match d with
  | O => (gamma1 (S i), gamma2 (S i))
  | S e => let (in_z, in_y) := forward_weights (S i) e in
      ((gamma1 (S i) * in_z + (1 - gamma1 (S i)) * in_y)%F, (gamma2 (S i) * in_z + (1 - gamma2 (S i)) * in_y)%F)
  end.

Let forth (j : nat) : V := delta (S j) j (y (S j)).
Let back (j : nat) : V := delta j (S j) (w j).

Lemma cbdia_step_average (k : nat) : k < N ->
  z k = gamma1 (S k) *: (z (S k) +: forth k) +: (1 - gamma1 (S k)) *: (y (S k) -: back k)
  /\ y k = gamma2 (S k) *: (z (S k) +: forth k) +: (1 - gamma2 (S k)) *: (y (S k) -: back k).
Proof.
  intro below. unfold back, forth, w, z, y. specialize (path k below). destruct (s (S k)) as [z_i y_i].
  cbn [fst snd]. rewrite path. unfold cbdia_step_by. cbv beta iota zeta. cbn [fst snd].
  split; linear_up_to delta.
Qed.

Lemma slots_average (i m : nat) (g : F) (a b c : nat -> F) :
  (forall d, c d = (g * a d + (1 - g) * b d)%F) ->
  slots forth back c (fun d => 1 - c d)%F i m
  = g *: slots forth back a (fun d => 1 - a d)%F i m +: (1 - g) *: slots forth back b (fun d => 1 - b d)%F i m.
Proof.
  intro average. unfold slots. rewrite !sum_scale, sum_add. apply sum_ext. intros d _. rewrite average. linear.
Qed.

Theorem cbdia_average (m : nat) : forall i, i + m = N ->
  z i = y N +: sum m (fun d =>
    fst (forward_weights i d) *: forth (i + d) -: (1 - fst (forward_weights i d)) *: back (i + d))
  /\ y i = y N +: sum m (fun d =>
    snd (forward_weights i d) *: forth (i + d) -: (1 - snd (forward_weights i d)) *: back (i + d)).
Proof.
  change (forall i, i + m = N ->
    z i = y N +: slots forth back (fun d => fst (forward_weights i d)) (fun d => 1 - fst (forward_weights i d))%F i m
    /\ y i = y N +: slots forth back (fun d => snd (forward_weights i d)) (fun d => 1 - snd (forward_weights i d))%F i m).
  induction m as [|m IH]; intros i place.
  - rewrite Nat.add_0_r in place. subst i. rewrite start. split; cbn; linear.
  - destruct (IH (S i) ltac:(lia)) as [in_z in_y]. destruct (cbdia_step_average i ltac:(lia)) as [to_z to_y].
    rewrite !slots_first, to_z, to_y, in_z, in_y.
    assert (next : forall d,
      fst (forward_weights i (S d))
      = (gamma1 (S i) * fst (forward_weights (S i) d) + (1 - gamma1 (S i)) * snd (forward_weights (S i) d))%F
      /\ snd (forward_weights i (S d))
      = (gamma2 (S i) * fst (forward_weights (S i) d) + (1 - gamma2 (S i)) * snd (forward_weights (S i) d))%F).
    { intro d. cbn [forward_weights]. now destruct (forward_weights (S i) d). }
    rewrite (slots_average (S i) m _ _ _ _ (fun d => proj1 (next d))).
    rewrite (slots_average (S i) m _ _ _ _ (fun d => proj2 (next d))).
    cbn [forward_weights fst snd]. split; linear.
Qed.

(** An average in earnest: weights stay in every set that holds the gammas and, with g a gamma, is closed under g a + (1 - g) b. *)

Theorem average_weights (inside : F -> Prop) :
  (forall i, inside (gamma1 i) /\ inside (gamma2 i)) ->
  (forall i a b, inside a -> inside b ->
     inside (gamma1 i * a + (1 - gamma1 i) * b)%F /\ inside (gamma2 i * a + (1 - gamma2 i) * b)%F) ->
  forall d i, inside (fst (forward_weights i d)) /\ inside (snd (forward_weights i d)).
Proof.
  intros gammas closed d. induction d as [|d IH]; intro i; [apply gammas|].
  specialize (IH (S i)). cbn [forward_weights]. destruct (forward_weights (S i) d) as [in_z in_y].
  cbn [fst snd] in *. apply closed; apply IH.
Qed.
End Average.
End Lemmas.

(** The lemmas for the program that runs, with DDIM's increments and any eps. *)

Section Lemmas_DDIM.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

Theorem cbdia_ddim_increments (gamma1 gamma2 : nat -> F) (N : nat) (s : nat -> V * V) :
  follows (cbdia_step alpha sigma eps gamma1 gamma2) N s
  -> cbdia_states (ddim_delta alpha sigma eps) gamma1 gamma2 N s.
Proof. intros path k below. rewrite <- cbdia_step_increments by easy. now apply path. Qed.

Variables (N : nat) (s : nat -> V * V).
Let z (i : nat) : V := fst (s i).
Let y (i : nat) : V := snd (s i).
Let delta := ddim_delta alpha sigma eps.

Theorem lemma_1_ddim (i : nat) :
  follows (cbdia_step alpha sigma eps (fun _ => 0%F) (fun _ => 1%F)) N s -> z N = y N -> i < N ->
  y i = y N +: odd (N - i) *: delta N (N - 1) (y N)
        +: sum_over (i + 1) (N - 1) (fun j => odd (j - i) *: (delta j (j - 1) (y j) -: delta j (j + 1) (y j)))
  /\ z i = y N +: odd (N - i - 1) *: delta N (N - 1) (y N)
           +: sum_over (i + 2) (N - 1) (fun j => odd (j - i - 1) *: (delta j (j - 1) (y j) -: delta j (j + 1) (y j)))
           -: delta i (i + 1) (y i).
Proof. intros path start. apply lemma_1; [now apply cbdia_ddim_increments|exact start]. Qed.

Theorem lemma_2_ddim (i : nat) :
  follows (cbdia_step alpha sigma eps (fun _ => 1%F) (fun _ => 0%F)) N s -> i < N ->
  y i = y N -: sum_over i (N - 1) (fun j => delta j (j + 1) (z j))
  /\ z i = z N +: sum_over (i + 1) N (fun j => delta j (j - 1) (y j)).
Proof. intro path. apply lemma_2. now apply cbdia_ddim_increments. Qed.

End Lemmas_DDIM.

(** Proposition 2: BDIA with gamma = 1 is symmetric in time, and with no other gamma but -1. *)

From Coq Require Import PeanoNat Lia Ring Field.
From BDIA Require Import Algebra Steps.

Section Proposition_2.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Add Field proposition_2_scalars : (field_laws F).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

(** t_(k+2) and t_k exchanged, in a slot pair around t_(k+1): what depends on the time follows. *)

Definition exchanged {A : Type} (k : nat) (f : nat -> A) (i : nat) : A :=
  if Nat.eqb i k then f (S (S k)) else if Nat.eqb i (S (S k)) then f k else f i.

Definition step_exchanged (g : F) (k : nat) (s : V * V) : V * V :=
  bdia_step (exchanged k alpha) (exchanged k sigma) (exchanged k eps) (fun _ => g) k s.

Definition undo_exchanged (g : F) (k : nat) (s : V * V) : V * V :=
  bdia_undo (exchanged k alpha) (exchanged k sigma) (exchanged k eps) (fun _ => g) k s.

Lemma exchanged_low {A : Type} (k : nat) (f : nat -> A) : exchanged k f k = f (S (S k)).
Proof. unfold exchanged. now rewrite Nat.eqb_refl. Qed.

Lemma exchanged_middle {A : Type} (k : nat) (f : nat -> A) : exchanged k f (S k) = f (S k).
Proof.
  unfold exchanged. replace (Nat.eqb (S k) k) with false by (symmetry; apply Nat.eqb_neq; lia).
  now replace (Nat.eqb (S k) (S (S k))) with false by (symmetry; apply Nat.eqb_neq; lia).
Qed.

Lemma exchanged_high {A : Type} (k : nat) (f : nat -> A) : exchanged k f (S (S k)) = f k.
Proof.
  unfold exchanged. replace (Nat.eqb (S (S k)) k) with false by (symmetry; apply Nat.eqb_neq; lia).
  now rewrite Nat.eqb_refl.
Qed.

Ltac exchange := rewrite ?exchanged_low, ?exchanged_middle, ?exchanged_high.

(** A step takes (z_(k+2), z_(k+1)) to (z_(k+1), z_k), its inverse goes back. The exchanged step takes z_k in the place of z_(k+2),
    and gives z_(k+2) in the place of z_k: at gamma = 1 this is the inverse. And the exchanged inverse is the step. *)

Theorem proposition_2 (k : nat) (z_k z_i : V) :
  bdia_undo alpha sigma eps (fun _ => 1%F) k (z_i, z_k) = (snd (step_exchanged 1 k (z_k, z_i)), z_i).
Proof.
  unfold bdia_undo, step_exchanged, bdia_step. cbv beta iota zeta. cbv [snd]. exchange. f_equal. linear.
Qed.

Theorem proposition_2_vice_versa (k : nat) (z_next z_i : V) :
  bdia_step alpha sigma eps (fun _ => 1%F) k (z_next, z_i) = (z_i, fst (undo_exchanged 1 k (z_i, z_next))).
Proof.
  unfold bdia_step, undo_exchanged, bdia_undo. cbv beta iota zeta. cbv [fst]. exchange. f_equal. linear.
Qed.

(** For any gamma, inverse and exchanged step differ by 1/gamma - gamma times z_k less DDIM's step from z_(k+1). *)

Theorem time_asymmetry (g : F) (k : nat) (z_k z_i : V) :
  g <> 0%F ->
  fst (bdia_undo alpha sigma eps (fun _ => g) k (z_i, z_k))
  = snd (step_exchanged g k (z_k, z_i)) +: (1 / g - g) *: (z_k -: ddim_step alpha sigma eps k z_i).
Proof.
  intro. unfold bdia_undo, step_exchanged, bdia_step, ddim_step. cbv beta iota zeta. cbv [fst snd]. exchange. linear.
Qed.

(** So unless gamma^2 = 1, or all vectors are zero, the exchanged step is not the inverse, from any z_(k+1). *)

Theorem time_symmetry_needs_gamma_1 (g : F) (k : nat) (z_i v : V) :
  g <> 0%F -> (g * g - 1)%F <> 0%F -> v <> v0 ->
  exists z_k, bdia_undo alpha sigma eps (fun _ => g) k (z_i, z_k) <> (snd (step_exchanged g k (z_k, z_i)), z_i).
Proof.
  intros nonzero_g other nonzero_v. exists (ddim_step alpha sigma eps k z_i +: v). intro same.
  apply (f_equal fst) in same. rewrite time_asymmetry in same by easy. cbn [fst] in same.
  apply nonzero_v.
  set (w := snd _) in same.
  assert (difference : (1 / g - g) *: v = v0).
  { apply (vadd_cancel w). rewrite vadd_0_r. rewrite <- same at 2. linear. }
  transitivity ((g / (1 - g * g)) *: ((1 / g - g) *: v)); [linear|rewrite difference; apply scale_v0].
Qed.

End Proposition_2.

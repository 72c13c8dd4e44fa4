(** The steps that run, with their coefficients in alpha and sigma, are the steps with DDIM's increments. *)

From Coq Require Import Ring Field.
From BDIA Require Import Algebra Steps.

Section Increments.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Add Field increment_scalars : (field_laws F).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

Let delta := ddim_delta alpha sigma eps.

Lemma ddim_step_increments (k : nat) (s : V) : ddim_step alpha sigma eps k s = ddim_step_by delta k s.
Proof. unfold ddim_step, ddim_step_by, delta, ddim_delta. cbv zeta. linear. Qed.

Lemma bdia_step_increments (gamma : nat -> F) (k : nat) (s : V * V) :
  bdia_step alpha sigma eps gamma k s = bdia_step_by delta gamma k s.
Proof.
  destruct s as [z_prev z]. unfold bdia_step, bdia_step_by, delta, ddim_delta. cbv zeta. f_equal; linear.
Qed.

Lemma cbdia_step_increments (gamma1 gamma2 : nat -> F) (k : nat) (s : V * V) :
  cbdia_step alpha sigma eps gamma1 gamma2 k s = cbdia_step_by delta gamma1 gamma2 k s.
Proof.
  destruct s as [z y]. unfold cbdia_step, cbdia_step_by, delta, ddim_delta. cbv zeta. f_equal; linear_up_to eps.
Qed.

End Increments.

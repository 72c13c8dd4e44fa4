(** BDIA is exactly invertible: its derived inverse, (33), undoes the step, on both sides, over runs of any length. The condition,
    gamma <> 0 in every slot, is needed. *)

From Coq Require Import Ring Field.
From BDIA Require Import Algebra Runs Steps.

Section BDIA.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Add Field bdia_scalars : (field_laws F).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

(** a_i and b_i of the paper, below (8), in the slot from i = k + 1 to k. *)

Let a (k : nat) : F := (alpha k / alpha (S k))%F.
Let b (k : nat) : F := (sigma k - sigma (S k) * a k)%F.

Variable gamma : nat -> F.
Let step := bdia_step alpha sigma eps gamma.
Let undo := bdia_undo alpha sigma eps gamma.

Theorem equation_33 (k : nat) (z_i z_next : V) :
  gamma (S k) <> 0%F ->
  let e := eps (S k) z_i in
  undo k (z_i, z_next)
  = (1 / gamma (S k) *: z_next -: 1 / gamma (S k) *: (a k *: z_i +: b k *: e)
       +: (1 / a (S k) *: z_i -: b (S k) / a (S k) *: e), z_i).
Proof. intro. unfold undo, bdia_undo, b, a. by_components eps. Qed.

(** With gamma = 0 the step forgets z_(i+1). *)

Theorem bdia_condition (k : nat) (z_i u v : V) : gamma (S k) = 0%F -> step k (u, z_i) = step k (v, z_i).
Proof. intro vanishes. unfold step, bdia_step. rewrite vanishes. by_components eps. Qed.

Hypothesis gamma_nonzero : forall i, gamma i <> 0%F.

Lemma bdia_undo_step (k : nat) (s : V * V) : undo k (step k s) = s.
Proof. destruct s as [z_prev z]. unfold step, undo, bdia_step, bdia_undo. by_components eps. Qed.

Lemma bdia_step_undo (k : nat) (s : V * V) : step k (undo k s) = s.
Proof. destruct s as [z_prev z]. unfold step, undo, bdia_step, bdia_undo. by_components eps. Qed.

Theorem bdia_invertible (N : nat) (s : V * V) :
  run_back undo N (run step N s) = s /\ run step N (run_back undo N s) = s.
Proof. split; [apply back_after_run, bdia_undo_step|apply run_after_back, bdia_step_undo]. Qed.

End BDIA.

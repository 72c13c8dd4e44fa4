(** EDICT is exactly invertible: its derived inverse, (15)-(18) in their right form, undoes the step, on both sides, over runs of any length. The condition,
    p <> 0 in every slot, is needed. *)

From Coq Require Import Ring Field.
From BDIA Require Import Algebra Runs Steps.

Section EDICT.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Add Field edict_scalars : (field_laws F).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

(** a_i and b_i of the paper, below (8), in the slot from i = k + 1 to k. *)

Let a (k : nat) : F := (alpha k / alpha (S k))%F.
Let b (k : nat) : F := (sigma k - sigma (S k) * a k)%F.

Variable p : nat -> F.
Let step := edict_step alpha sigma eps p.
Let undo := edict_undo alpha sigma eps p.

Theorem equations_15_to_18 (k : nat) (z y : V) :
  p (S k) <> 0%F ->
  let y_inter := 1 / p (S k) *: (y -: (1 - p (S k)) *: z) in
  let z_inter := 1 / p (S k) *: (z -: (1 - p (S k)) *: y_inter) in
  let y_i := 1 / a k *: (y_inter -: b k *: eps (S k) z_inter) in
  undo k (z, y) = (1 / a k *: (z_inter -: b k *: eps (S k) y_i), y_i).
Proof. intro. unfold undo, edict_undo, b, a. by_components eps. Qed.

(** With p = 0 both new states are the same. *)

Theorem edict_condition (k : nat) (s : V * V) : p (S k) = 0%F -> fst (step k s) = snd (step k s).
Proof. intro vanishes. destruct s as [z y]. unfold step, edict_step. rewrite vanishes. cbv [fst snd]. linear. Qed.

Hypothesis p_nonzero : forall i, p i <> 0%F.

Lemma edict_undo_step (k : nat) (s : V * V) : undo k (step k s) = s.
Proof. destruct s as [z y]. unfold step, undo, edict_step, edict_undo. by_components eps. Qed.

Lemma edict_step_undo (k : nat) (s : V * V) : step k (undo k s) = s.
Proof. destruct s as [z y]. unfold step, undo, edict_step, edict_undo. by_components eps. Qed.

Theorem edict_invertible (N : nat) (s : V * V) :
  run_back undo N (run step N s) = s /\ run step N (run_back undo N s) = s.
Proof. split; [apply back_after_run, edict_undo_step|apply run_after_back, edict_step_undo]. Qed.

End EDICT.

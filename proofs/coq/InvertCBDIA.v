(** CBDIA is exactly invertible: its derived inverse, (47)-(50), undoes the step, on both sides, over runs of any length. The condition,
    gamma_1 <> gamma_2 in every slot, is needed. *)

From Coq Require Import Ring Field.
From BDIA Require Import Algebra Runs Steps.

Section CBDIA.
Context {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V).

Add Field cbdia_scalars : (field_laws F).

Hypothesis alpha_nonzero : forall i, alpha i <> 0%F.

Let delta := ddim_delta alpha sigma eps.

Variables gamma1 gamma2 : nat -> F.
Let step := cbdia_step alpha sigma eps gamma1 gamma2.
Let undo := cbdia_undo alpha sigma eps gamma1 gamma2.

Theorem equations_47_to_50 (k : nat) (z y : V) :
  (gamma1 (S k) - gamma2 (S k))%F <> 0%F ->
  let v := 1 / (gamma1 (S k) - gamma2 (S k)) *: (gamma1 (S k) *: y -: gamma2 (S k) *: z) in
  let w := 1 / (gamma2 (S k) - gamma1 (S k)) *: ((1 - gamma1 (S k)) *: y -: (1 - gamma2 (S k)) *: z) in
  let y_i := v +: delta k (S k) w in
  undo k (z, y) = (w -: delta (S k) k y_i, y_i).
Proof. intro. unfold undo, cbdia_undo, delta, ddim_delta. by_components eps. Qed.

(** With gamma_1 = gamma_2 both new states are the same. *)

Theorem cbdia_condition (k : nat) (s : V * V) : gamma1 (S k) = gamma2 (S k) -> fst (step k s) = snd (step k s).
Proof. intro same. destruct s as [z y]. unfold step, cbdia_step. rewrite same. cbv [fst snd]. linear. Qed.

Hypothesis gammas_distinct : forall i, (gamma1 i - gamma2 i)%F <> 0%F.

Lemma cbdia_undo_step (k : nat) (s : V * V) : undo k (step k s) = s.
Proof. destruct s as [z y]. unfold step, undo, cbdia_step, cbdia_undo. by_components eps. Qed.

Lemma cbdia_step_undo (k : nat) (s : V * V) : step k (undo k s) = s.
Proof. destruct s as [z y]. unfold step, undo, cbdia_step, cbdia_undo. by_components eps. Qed.

Theorem cbdia_invertible (N : nat) (s : V * V) :
  run_back undo N (run step N s) = s /\ run step N (run_back undo N s) = s.
Proof. split; [apply back_after_run, cbdia_undo_step|apply run_after_back, cbdia_step_undo]. Qed.

End CBDIA.

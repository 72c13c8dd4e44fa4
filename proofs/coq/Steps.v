(** The steps of the solvers and their derived inverses, printed from the step programs that run.

    Written by `python experiments/coq_steps.py`; a test compares. Indices: the slot of step k goes from t_(k+1) to t_k. *)

From BDIA Require Import Algebra.



Definition ddim_delta {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (i j : nat) (s : V) : V :=
  let z := s in
  let e1 := eps i z in
  let z' :=
    ((- alpha i + alpha j) / alpha i) *: z
    +: ((alpha i * sigma j - (alpha j * sigma i)) / alpha i) *: e1 in
  z'.

Definition ddim_step {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (k : nat) (s : V) : V :=
  let z := s in
  let e1 := eps (S k) z in
  let z' :=
    (alpha k / alpha (S k)) *: z
    +: ((- (alpha k * sigma (S k)) + alpha (S k) * sigma k) / alpha (S k)) *: e1 in
  z'.

Definition ddim_step_by {F : Field} {V : Space F} (delta : nat -> nat -> V -> V) (k : nat) (s : V) : V :=
  let z := s in
  let d1 := delta (S k) k z in
  let z' := z +: d1 in
  z'.

Definition bdia_step {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (gamma : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z_prev, z) := s in
  let e1 := eps (S k) z in
  let z_prev' :=
    (gamma (S k)) *: z_prev
    +: ((alpha k - (alpha (S (S k)) * gamma (S k))) / alpha (S k)) *: z
    +: ((- (alpha k * sigma (S k)) - (alpha (S k) * gamma (S k) * sigma (S (S k))) + alpha (S k) * sigma k + alpha (S (S k)) * gamma (S k) * sigma (S k)) / alpha (S k)) *: e1 in
  (z, z_prev').

Definition bdia_undo {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (gamma : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z_prev, z) := s in
  let e1 := eps (S k) z_prev in
  let z_prev' :=
    (1 / gamma (S k)) *: z
    +: ((- alpha k + alpha (S (S k)) * gamma (S k)) / (alpha (S k) * gamma (S k))) *: z_prev
    +: ((alpha k * sigma (S k) + alpha (S k) * gamma (S k) * sigma (S (S k)) - (alpha (S k) * sigma k) - (alpha (S (S k)) * gamma (S k) * sigma (S k))) / (alpha (S k) * gamma (S k))) *: e1 in
  (z_prev', z_prev).

Definition edict_step {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (p : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z, y) := s in
  let e1 := eps (S k) y in
  let z' :=
    (alpha k / alpha (S k)) *: z
    +: ((- (alpha k * sigma (S k)) + alpha (S k) * sigma k) / alpha (S k)) *: e1 in
  let e2 := eps (S k) z' in
  let y' :=
    (alpha k / alpha (S k)) *: y
    +: ((- (alpha k * sigma (S k)) + alpha (S k) * sigma k) / alpha (S k)) *: e2 in
  let z'' := (p (S k)) *: z' -: (p (S k) - 1) *: y' in
  let y'' := (p (S k)) *: y' -: (p (S k) - 1) *: z'' in
  (z'', y'').

Definition edict_undo {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (p : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z, y) := s in
  let y' := (1 / p (S k)) *: y +: ((p (S k) - 1) / p (S k)) *: z in
  let z' := (1 / p (S k)) *: z +: ((p (S k) - 1) / p (S k)) *: y' in
  let e1 := eps (S k) z' in
  let y'' := (alpha (S k) / alpha k) *: y' +: ((alpha k * sigma (S k) - (alpha (S k) * sigma k)) / alpha k) *: e1 in
  let e2 := eps (S k) y'' in
  let z'' := (alpha (S k) / alpha k) *: z' +: ((alpha k * sigma (S k) - (alpha (S k) * sigma k)) / alpha k) *: e2 in
  (z'', y'').

Definition cbdia_step {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (gamma1 gamma2 : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z, y) := s in
  let e1 := eps (S k) y in
  let z' :=
    z
    +: ((alpha k - alpha (S k)) / alpha (S k)) *: y
    +: ((- (alpha k * sigma (S k)) + alpha (S k) * sigma k) / alpha (S k)) *: e1 in
  let e2 := eps k z' in
  let y' :=
    y
    +: ((alpha k - alpha (S k)) / alpha k) *: z'
    +: ((- (alpha k * sigma (S k)) + alpha (S k) * sigma k) / alpha k) *: e2 in
  let z'' := (gamma1 (S k)) *: z' -: (gamma1 (S k) - 1) *: y' in
  let y'' := (gamma2 (S k)) *: z' -: (gamma2 (S k) - 1) *: y' in
  (z'', y'').

Definition cbdia_undo {F : Field} {V : Space F} (alpha sigma : nat -> F) (eps : nat -> V -> V) (gamma1 gamma2 : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z, y) := s in
  let z' :=
    ((1 - gamma2 (S k)) / (gamma1 (S k) - gamma2 (S k))) *: z
    +: ((gamma1 (S k) - 1) / (gamma1 (S k) - gamma2 (S k))) *: y in
  let y' :=
    -: ((gamma2 (S k) / (gamma1 (S k) - gamma2 (S k))) *: z)
    +: (gamma1 (S k) / (gamma1 (S k) - gamma2 (S k))) *: y in
  let e1 := eps k z' in
  let y'' :=
    y'
    +: ((- alpha k + alpha (S k)) / alpha k) *: z'
    +: ((alpha k * sigma (S k) - (alpha (S k) * sigma k)) / alpha k) *: e1 in
  let e2 := eps (S k) y'' in
  let z'' :=
    z'
    +: ((- alpha k + alpha (S k)) / alpha (S k)) *: y''
    +: ((alpha k * sigma (S k) - (alpha (S k) * sigma k)) / alpha (S k)) *: e2 in
  (z'', y'').

Definition bdia_step_by {F : Field} {V : Space F} (delta : nat -> nat -> V -> V) (gamma : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z_prev, z) := s in
  let d1 := delta (S k) (S (S k)) z in
  let d2 := delta (S k) k z in
  let z_prev' := (gamma (S k)) *: z_prev -: (gamma (S k) - 1) *: z -: (gamma (S k)) *: d1 +: d2 in
  (z, z_prev').

Definition cbdia_step_by {F : Field} {V : Space F} (delta : nat -> nat -> V -> V) (gamma1 gamma2 : nat -> F) (k : nat) (s : V * V) : V * V :=
  let '(z, y) := s in
  let d1 := delta (S k) k y in
  let z' := z +: d1 in
  let d2 := delta k (S k) z' in
  let y' := y -: d2 in
  let z'' := (gamma1 (S k)) *: z' -: (gamma1 (S k) - 1) *: y' in
  let y'' := (gamma2 (S k)) *: z' -: (gamma2 (S k) - 1) *: y' in
  (z'', y'').

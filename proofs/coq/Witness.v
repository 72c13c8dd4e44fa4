(** The laws can be met: rationals, pairs of them, and an eps that is neither linear nor componentwise. So the theorems are about
    something, and one of them is run. *)

From Coq Require Import QArith Qcanon.
From BDIA Require Import Algebra Runs Steps InvertBDIA.

Definition rationals : Field := {|
  scalar := Qc; f0 := 0%Qc; f1 := 1%Qc; fadd := Qcplus; fmul := Qcmult; fsub := Qcminus; fopp := Qcopp; fdiv := Qcdiv;
  finv := Qcinv; field_laws := Qcft
|}.

Definition plane : Space rationals.
Proof.
  refine (Build_Space rationals (Qc * Qc) (0, 0) (fun u v => (fst u + fst v, snd u + snd v))
    (fun u => (- fst u, - snd u)) (fun a u => (a * fst u, a * snd u)) _ _ _ _ _ _ _ _)%Qc.
  all: intros; repeat match goal with v : (Qc * Qc)%type |- _ => destruct v end; cbn; f_equal; ring.
Defined.

(** The model mixes components, is not linear, and depends on the time. *)

Definition model (i : nat) (v : plane) : plane := (Qcmult (fst v) (snd v), Qcplus (fst v) (Q2Qc (inject_Z (Z.of_nat i)))).
Definition alpha (i : nat) : rationals := Q2Qc (1 # Pos.of_succ_nat i).
Definition sigma (i : nat) : rationals := Q2Qc (inject_Z (Z.of_nat i)).
Definition half (i : nat) : rationals := Q2Qc (1 # 2).

Lemma fraction_nonzero (p : positive) : Q2Qc (1 # p) <> 0%Qc.
Proof. intro zero. apply (proj1 (Q2Qc_eq_iff _ _)) in zero. discriminate. Qed.

Theorem model_is_not_additive : exists u v, model 0 (u +: v) <> model 0 u +: model 0 v.
Proof.
  exists (1, 0)%Qc, (0, 1)%Qc. intro same. apply (f_equal (fun s : plane => Qeq_bool (this (fst s)) 0)) in same.
  vm_compute in same. discriminate.
Qed.

Theorem witness :
  (forall i, alpha i <> 0%F) /\ (forall i, half i <> 0%F) /\ (1 + half 0)%F <> (0%F : rationals)
  /\ (forall i, (half i - 0)%F <> (0%F : rationals)) /\ exists v : plane, v <> v0.
Proof.
  split; [intro i; apply fraction_nonzero|split; [intro i; apply fraction_nonzero|split; [|split]]].
  - intro zero. apply (f_equal (fun c : Qc => Qeq_bool (this c) 0)) in zero. vm_compute in zero. discriminate.
  - intros i zero. apply (f_equal (fun c : Qc => Qeq_bool (this c) 0)) in zero. vm_compute in zero. discriminate.
  - exists (1, 0)%Qc. intro zero. apply (f_equal (fun s : plane => Qeq_bool (this (fst s)) 0)) in zero.
    vm_compute in zero. discriminate.
Qed.

(** Three steps of BDIA move the state, and three of the inverse bring it back. *)

Definition there (s : plane * plane) : plane * plane := run (bdia_step alpha sigma model half) 3 s.
Definition back (s : plane * plane) : plane * plane := run_back (bdia_undo alpha sigma model half) 3 s.

Theorem moved_and_back : let s := ((1, 1)%Qc, (0, 1)%Qc) in there s <> s /\ back (there s) = s.
Proof.
  split.
  - intro same. apply (f_equal (fun t : plane * plane => Qeq_bool (this (fst (fst t))) 1)) in same.
    vm_compute in same. discriminate.
  - apply bdia_invertible; intro i; apply fraction_nonzero.
Qed.

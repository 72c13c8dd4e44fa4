(** Fields, modules over them, and a tactic that decides equality of linear combinations. *)

From Coq Require Import List PeanoNat Lia Ring Field.
Import ListNotations.

(** A field: any type with the laws of the standard library's [field_theory]. *)

Record Field := {
  scalar :> Type;
  f0 : scalar;
  f1 : scalar;
  fadd : scalar -> scalar -> scalar;
  fmul : scalar -> scalar -> scalar;
  fsub : scalar -> scalar -> scalar;
  fopp : scalar -> scalar;
  fdiv : scalar -> scalar -> scalar;
  finv : scalar -> scalar;
  field_laws : field_theory f0 f1 fadd fmul fsub fopp fdiv finv (@eq scalar)
}.

Arguments f0 {_}.
Arguments f1 {_}.
Arguments fadd {_} _ _.
Arguments fmul {_} _ _.
Arguments fsub {_} _ _.
Arguments fopp {_} _.
Arguments fdiv {_} _ _.
Arguments finv {_} _.

Declare Scope field_scope.
Delimit Scope field_scope with F.
Bind Scope field_scope with scalar.
Notation "0" := f0 : field_scope.
Notation "1" := f1 : field_scope.
Notation "a + b" := (fadd a b) : field_scope.
Notation "a - b" := (fsub a b) : field_scope.
Notation "a * b" := (fmul a b) : field_scope.
Notation "a / b" := (fdiv a b) : field_scope.
Notation "- a" := (fopp a) : field_scope.

(** A module over a field, of any dimension: states are its elements, whatever their components are. *)

Record Space (F : Field) := {
  vector :> Type;
  v0 : vector;
  vadd : vector -> vector -> vector;
  vopp : vector -> vector;
  scale : F -> vector -> vector;
  vadd_comm : forall u v, vadd u v = vadd v u;
  vadd_assoc : forall u v w, vadd u (vadd v w) = vadd (vadd u v) w;
  vadd_0 : forall v, vadd v0 v = v;
  vadd_opp : forall v, vadd v (vopp v) = v0;
  scale_1 : forall v, scale f1 v = v;
  scale_mul : forall a b v, scale (fmul a b) v = scale a (scale b v);
  scale_fadd : forall a b v, scale (fadd a b) v = vadd (scale a v) (scale b v);
  scale_vadd : forall a u v, scale a (vadd u v) = vadd (scale a u) (scale a v)
}.

Arguments v0 {_ _}.
Arguments vadd {_ _} _ _.
Arguments vopp {_ _} _.
Arguments scale {_ _} _ _.

Definition vsub {F : Field} {V : Space F} (u v : V) : V := vadd u (vopp v).

(** Operations on vectors carry a colon. *)

Notation "u +: v" := (vadd u v) (at level 50, left associativity).
Notation "u -: v" := (vsub u v) (at level 50, left associativity).
Notation "-: u" := (vopp u) (at level 35, right associativity).
Notation "a *: v" := (scale a%F v) (at level 40, left associativity).

Section Module.
Context {F : Field} {V : Space F}.

Add Field scalars : (field_laws F).

Lemma vadd_0_r (v : V) : v +: v0 = v.
Proof. rewrite vadd_comm. apply vadd_0. Qed.

Lemma vadd_cancel (u v w : V) : u +: v = u +: w -> v = w.
Proof.
  intro same. rewrite <- (vadd_0 _ V v), <- (vadd_0 _ V w), <- (vadd_opp _ V u), (vadd_comm _ V u).
  rewrite <- !vadd_assoc. now f_equal.
Qed.

Lemma scale_0 (v : V) : 0 *: v = v0.
Proof. apply (vadd_cancel (0 *: v)). rewrite <- scale_fadd, vadd_0_r. f_equal. ring. Qed.

Lemma scale_v0 (a : F) : a *: (v0 : V) = v0.
Proof. apply (vadd_cancel (a *: v0)). now rewrite <- scale_vadd, !vadd_0_r. Qed.

Lemma vopp_scale (v : V) : -: v = - (1) *: v.
Proof.
  apply (vadd_cancel v). rewrite vadd_opp. rewrite <- (scale_1 _ V v) at 1.
  rewrite <- scale_fadd, <- (scale_0 v). f_equal. ring.
Qed.

Lemma vadd_exchange (a b c d : V) : (a +: b) +: (c +: d) = (a +: c) +: (b +: d).
Proof. rewrite !vadd_assoc. f_equal. rewrite <- !vadd_assoc. f_equal. apply vadd_comm. Qed.

(** Linear combinations, as syntax over a list of atoms. Two are equal where their coefficients are. *)

Inductive combination :=
| Atom (n : nat)
| Zero
| Add (a b : combination)
| Opp (a : combination)
| Scale (c : F) (a : combination).

Fixpoint value (atoms : list V) (e : combination) : V :=
  match e with
  | Atom n => nth n atoms v0
  | Zero => v0
  | Add a b => value atoms a +: value atoms b
  | Opp a => -: value atoms a
  | Scale c a => c *: value atoms a
  end.

Fixpoint coefficient (n : nat) (e : combination) : F :=
  match e with
  | Atom m => if Nat.eqb n m then 1%F else 0%F
  | Zero => 0%F
  | Add a b => (coefficient n a + coefficient n b)%F
  | Opp a => (- coefficient n a)%F
  | Scale c a => (c * coefficient n a)%F
  end.

Fixpoint total (atoms : list V) (c : nat -> F) : V :=
  match atoms with
  | [] => v0
  | v :: rest => c O *: v +: total rest (fun n => c (S n))
  end.

Lemma total_ext (atoms : list V) : forall c d : nat -> F,
  (forall n, n < length atoms -> c n = d n) -> total atoms c = total atoms d.
Proof.
  induction atoms as [|v rest IH]; intros c d same; [easy|]. cbn.
  rewrite (same O), (IH _ (fun n => d (S n))); [easy| |cbn; lia].
  intros n small. apply same. cbn. lia.
Qed.

Lemma total_0 (atoms : list V) : total atoms (fun _ => 0%F) = v0.
Proof. induction atoms as [|v rest IH]; [easy|]. cbn. now rewrite IH, scale_0, vadd_0. Qed.

Lemma total_add (atoms : list V) : forall c d : nat -> F,
  total atoms c +: total atoms d = total atoms (fun n => (c n + d n)%F).
Proof.
  induction atoms as [|v rest IH]; intros c d; cbn; [apply vadd_0|].
  now rewrite vadd_exchange, <- scale_fadd, (IH (fun n => c (S n))).
Qed.

Lemma total_scale (a : F) (atoms : list V) : forall c : nat -> F,
  a *: total atoms c = total atoms (fun n => (a * c n)%F).
Proof.
  induction atoms as [|v rest IH]; intro c; cbn; [apply scale_v0|].
  now rewrite scale_vadd, <- scale_mul, (IH (fun n => c (S n))).
Qed.

Lemma total_atom (atoms : list V) : forall m,
  total atoms (fun n => if Nat.eqb n m then 1%F else 0%F) = nth m atoms v0.
Proof.
  induction atoms as [|v rest IH]; intros [|m]; try easy; cbn.
  - change (fun n => if Nat.eqb (S n) 0 then 1%F else 0%F) with (fun _ : nat => @f0 F).
    now rewrite total_0, scale_1, vadd_0_r.
  - now rewrite IH, scale_0, vadd_0.
Qed.

Lemma value_is_total (atoms : list V) (e : combination) :
  value atoms e = total atoms (fun n => coefficient n e).
Proof.
  induction e as [m| |a IHa b IHb|a IHa|c a IHa]; cbn.
  - now rewrite total_atom.
  - now rewrite total_0.
  - now rewrite IHa, IHb, total_add.
  - rewrite IHa, vopp_scale, total_scale. apply total_ext. intros n _. ring.
  - now rewrite IHa, total_scale.
Qed.

Fixpoint agree (n : nat) (a b : combination) : Prop :=
  match n with
  | O => True
  | S m => agree m a b /\ coefficient m a = coefficient m b
  end.

Theorem equal_combinations (atoms : list V) (a b : combination) :
  agree (length atoms) a b -> value atoms a = value atoms b.
Proof.
  intro same. rewrite !value_is_total. apply total_ext.
  revert same. generalize (length atoms) as size. induction size as [|size IH]; intros same n small; [lia|].
  destruct same as [before last]. destruct (Nat.eq_dec n size) as [->|other]; [easy|apply IH; [easy|lia]].
Qed.

End Module.

Arguments combination : clear implicits.

(** [linear]: an equality of linear combinations of vectors, from the equalities of their coefficients. *)

Ltac position v atoms :=
  match atoms with
  | v :: _ => constr:(O)
  | _ :: ?rest => let n := position v rest in constr:(S n)
  end.

Ltac collect t atoms :=
  match t with
  | vadd ?a ?b => let more := collect a atoms in collect b more
  | vsub ?a ?b => let more := collect a atoms in collect b more
  | vopp ?a => collect a atoms
  | scale _ ?a => collect a atoms
  | v0 => atoms
  | _ => match atoms with
         | context [cons t _] => atoms
         | _ => constr:(cons t atoms)
         end
  end.

Ltac reify F t atoms :=
  match t with
  | vadd ?a ?b => let x := reify F a atoms in let y := reify F b atoms in constr:(@Add F x y)
  | vsub ?a ?b => let x := reify F a atoms in let y := reify F b atoms in constr:(@Add F x (@Opp F y))
  | vopp ?a => let x := reify F a atoms in constr:(@Opp F x)
  | scale ?c ?a => let x := reify F a atoms in constr:(@Scale F c x)
  | v0 => constr:(@Zero F)
  | _ => let n := position t atoms in constr:(@Atom F n)
  end.

(** [field] unfolds 1 in the conditions that it leaves. *)

Ltac refold :=
  repeat match goal with
  | |- context [match ?X with _ => _ end] =>
      match goal with |- context [?t] => match t with match X with _ => _ end => change t with (@f1 X) end end
  end.

(** Scalars that are not zero, since the context says so in other words. *)

Ltac nonzero :=
  repeat split; refold;
  match goal with
  | |- _ <> _ => solve
      [ auto
      | exact (F_1_neq_0 (field_laws _))
      | match goal with
        | known : ?b <> f0 |- ?a <> f0 =>
            let vanishes := fresh in
            intro vanishes; apply known;
            first [ transitivity a; [ring|exact vanishes]
                  | transitivity (fopp a); [ring|rewrite vanishes; ring] ]
        end ]
  end.

Ltac scalars := tryif ring then idtac else tryif (field; nonzero) then idtac else fail "two coefficients differ".

Ltac is_vector v := match type of v with @vector _ _ => idtac end.

Ltac linear :=
  match goal with
  | |- @eq (@vector ?F ?V) ?a ?b =>
      let more := collect a (@nil (@vector F V)) in
      let atoms := collect b more in
      let x := reify F a atoms in
      let y := reify F b atoms in
      change (value atoms x = value atoms y);
      apply equal_combinations;
      cbn [agree coefficient length Nat.eqb];
      repeat split; scalars
  end.

(** [name_values f]: values of f get names, from the innermost; where the times agree and the arguments are equal as linear
    combinations, the same name. *)

Ltac name_value h v :=
  first
    [ match goal with
      | known : ?e = h ?u |- _ => replace (h v) with e by (rewrite known; apply (f_equal h); linear)
      end
    | let e := fresh "e" in remember (h v) as e ].

Ltac name_values f :=
  repeat match goal with
  | |- context [f ?i ?v] => match v with context [f] => fail 1 | _ => is_vector v; name_value (f i) v end
  | |- context [f ?i ?j ?v] => match v with context [f] => fail 1 | _ => is_vector v; name_value (f i j) v end
  end.

Ltac linear_up_to f := name_values f; linear.

(** Equal pairs of vectors. *)

Ltac by_components f := cbv beta iota zeta; f_equal; linear_up_to f.

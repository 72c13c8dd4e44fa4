"""Proofs by Coq's kernel: steps printed from the programs, the development that proves their theorems, and its compiler."""

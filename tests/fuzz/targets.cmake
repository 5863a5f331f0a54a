# One line a parser: assay_fuzz_target(name LIBS ...).

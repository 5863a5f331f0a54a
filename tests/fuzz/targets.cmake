# One line a parser: assay_fuzz_target(name LIBS ...).
# What clients send
assay_fuzz_target(path LIBS server-http)
assay_fuzz_target(basic LIBS server-http)
assay_fuzz_target(body LIBS server-http)
assay_fuzz_target(base64 LIBS ca-core)
assay_fuzz_target(csr LIBS ca-core)
assay_fuzz_target(nonce_request LIBS server-roles)
assay_fuzz_target(ocsp LIBS ca-core)
assay_fuzz_target(feed LIBS server-roles)
assay_fuzz_target(ocsp_path LIBS server-roles)
assay_fuzz_target(status_frames LIBS server-core)
# Evidence and certificates
assay_fuzz_target(bundle LIBS attestation)
assay_fuzz_target(quote LIBS attestation)
assay_fuzz_target(evidence LIBS attestation)
assay_fuzz_target(nonce LIBS attestation)
assay_fuzz_target(cert LIBS ca-core)
assay_fuzz_target(chain LIBS ca-core)
foreach(name fuzz_chain fuzz_evidence)
  target_sources(${name} PRIVATE fuzz/believe.c)
  target_link_options(${name} PRIVATE -Wl,--wrap=claim_holds)
endforeach()
# Between the roles
assay_fuzz_target(frame LIBS server-core)
assay_fuzz_target(answer LIBS server-roles)
assay_fuzz_target(stream LIBS server-core)
assay_fuzz_target(message LIBS server-core)
# What operators write
assay_fuzz_target(config LIBS server-core)
assay_fuzz_target(profile LIBS policy)
assay_fuzz_target(users LIBS policy)
# What one program of a relying party writes for another
assay_fuzz_target(revoked_list LIBS relying)
# What an auditor has kept
assay_fuzz_target(head LIBS assayctl-head)
# What servers send the reference rig
assay_fuzz_target(est_reply LIBS rig)

# Makes the corpora that need keys; not a test.
add_executable(fuzz_seeds fuzz/seeds.c unit/attestation/quote_make.c)
set_target_properties(fuzz_seeds PROPERTIES EXCLUDE_FROM_ALL TRUE)
target_include_directories(fuzz_seeds PRIVATE unit/attestation)
target_link_libraries(fuzz_seeds PRIVATE assay_flags test-support server-core)

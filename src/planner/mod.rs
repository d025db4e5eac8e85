//! L1: from what was seen to a plan: what is changed on which host, and what is left alone and why.

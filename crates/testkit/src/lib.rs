//! Builders, adversarial generators and the naive twin that the tests of the workspace share.

"""What holds for all tests of the services."""

from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("millrace", deadline=None)
settings.load_profile("millrace")

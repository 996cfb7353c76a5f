"""NPC, non-autoregressive predictive coding: frames are predicted from those around (Liu et al., Interspeech 2021)."""

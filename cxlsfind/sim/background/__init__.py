"""Background: what scatters beside the crystal, and how its photons are drawn."""

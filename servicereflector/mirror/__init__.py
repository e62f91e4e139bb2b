"""What mirrors should exist, and what to do about the difference: values in, values out."""

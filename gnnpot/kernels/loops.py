"""Loops over pairs and atoms, compiled by numba; each writes to the items ``begin … end`` only.

Edges 2p and 2p + 1 are pair p in its two directions.  ``order`` lists the edges atom by atom, those into
atom i at ``start[i] … start[i + 1]``; ``index`` holds source and center of each edge.  Harmonics are those
of the even edge: the odd edge has (−1)^l times them.
"""

from gnnpot.kernels import activations as activations
from gnnpot.kernels.calls import Call as Call
from gnnpot.kernels.chains import chain as chain
from gnnpot.kernels.chains import chain_first as chain_first
from gnnpot.kernels.chains import chain_second as chain_second
from gnnpot.kernels.chains import lay_out as lay_out
from gnnpot.kernels.elementwise import silu_second as silu_second
from gnnpot.kernels.elementwise import softplus_second as softplus_second
from gnnpot.kernels.elementwise import transpose as transpose
from gnnpot.kernels.harmonics import harmonics as harmonics
from gnnpot.kernels.harmonics import harmonics_first as harmonics_first
from gnnpot.kernels.harmonics import harmonics_second as harmonics_second
from gnnpot.kernels.moments import compare as compare
from gnnpot.kernels.moments import gather as gather
from gnnpot.kernels.moments import moments as moments
from gnnpot.kernels.moments import moments_first as moments_first
from gnnpot.kernels.moments import moments_second_atoms as moments_second_atoms
from gnnpot.kernels.moments import moments_second_pairs as moments_second_pairs
from gnnpot.kernels.moments import read as read
from gnnpot.kernels.moments import read_two as read_two
from gnnpot.kernels.pair_lists import choose_pairs as choose_pairs
from gnnpot.kernels.pair_lists import measure_pairs as measure_pairs
from gnnpot.kernels.pairs import convolve as convolve
from gnnpot.kernels.pairs import convolve_two as convolve_two
from gnnpot.kernels.pairs import differences as differences
from gnnpot.kernels.pairs import multiply_ends as multiply_ends
from gnnpot.kernels.pairs import reverse as reverse
from gnnpot.kernels.pairs import reverse_first as reverse_first
from gnnpot.kernels.pairs import reverse_second as reverse_second
from gnnpot.kernels.pairs import sum_edges as sum_edges
from gnnpot.kernels.pairs import sum_edges_first as sum_edges_first
from gnnpot.kernels.pairs import sum_edges_two as sum_edges_two
from gnnpot.kernels.pairs import sum_opposite as sum_opposite
from gnnpot.kernels.pairs import times_pairs as times_pairs
from gnnpot.kernels.pairs import times_pairs_first as times_pairs_first
from gnnpot.kernels.pairs import times_pairs_second as times_pairs_second
from gnnpot.kernels.pairs import times_rows as times_rows
from gnnpot.kernels.pairs import times_rows_first as times_rows_first
from gnnpot.kernels.pairs import times_rows_second as times_rows_second
from gnnpot.kernels.products import WIDE as WIDE
from gnnpot.kernels.products import multiply as multiply
from gnnpot.kernels.products import multiply_each as multiply_each
from gnnpot.kernels.products import multiply_thin as multiply_thin
from gnnpot.kernels.radial import bessel_derivatives as bessel_derivatives
from gnnpot.kernels.radial import cosine_derivatives as cosine_derivatives
from gnnpot.kernels.radial import gaussian_derivatives as gaussian_derivatives
from gnnpot.kernels.radial import polynomial_derivatives as polynomial_derivatives
from gnnpot.kernels.radial import spherical_bessel_derivatives as spherical_bessel_derivatives
from gnnpot.kernels.radial import spline_derivatives as spline_derivatives
from gnnpot.kernels.shells import shell_exponents as shell_exponents
from gnnpot.kernels.shells import sum_shells as sum_shells
from gnnpot.kernels.shells import sum_shells_first as sum_shells_first
from gnnpot.kernels.shells import sum_shells_second_atoms as sum_shells_second_atoms
from gnnpot.kernels.shells import sum_shells_second_pairs as sum_shells_second_pairs
from gnnpot.kernels.simd import WIDTH as WIDTH
from gnnpot.kernels.tables import convolve_table as convolve_table
from gnnpot.kernels.tables import convolve_table_first as convolve_table_first
from gnnpot.kernels.tables import convolve_table_second as convolve_table_second
from gnnpot.kernels.tables import convolve_table_second_weights as convolve_table_second_weights
from gnnpot.kernels.tables import convolve_table_weights as convolve_table_weights
from gnnpot.kernels.tensor_products import tensor_products as tensor_products
from gnnpot.kernels.tensor_products import tensor_products_pairs as tensor_products_pairs
from gnnpot.kernels.triplets import count_triplets as count_triplets
from gnnpot.kernels.triplets import list_triplets as list_triplets
from gnnpot.kernels.triplets import sum_triplets as sum_triplets
from gnnpot.kernels.triplets import sum_triplets_first as sum_triplets_first
from gnnpot.kernels.triplets import sum_triplets_second as sum_triplets_second
from gnnpot.kernels.triplets import triplet_arguments as triplet_arguments

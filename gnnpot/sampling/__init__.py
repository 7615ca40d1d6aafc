"""Samplers of new structures: dynamics, deformations, displacements, and methods that cross barriers."""

from gnnpot.sampling.config import SampleConfig as SampleConfig
from gnnpot.sampling.deformation import DeformationConfig as DeformationConfig
from gnnpot.sampling.deformation import StrainConfig as StrainConfig
from gnnpot.sampling.displacement import NoiseConfig as NoiseConfig
from gnnpot.sampling.displacement import RattleConfig as RattleConfig
from gnnpot.sampling.displacement import ScalingConfig as ScalingConfig
from gnnpot.sampling.md import MDConfig as MDConfig
from gnnpot.sampling.momt.bias import Bias as Bias
from gnnpot.sampling.momt.bias import MeshConfig as MeshConfig
from gnnpot.sampling.momt.calculator import BiasedCalculator as BiasedCalculator
from gnnpot.sampling.momt.order import OrderParameter as OrderParameter
from gnnpot.sampling.momt.reweighting import BiasedSamples as BiasedSamples
from gnnpot.sampling.momt.reweighting import canonical_weights as canonical_weights
from gnnpot.sampling.momt.sampler import MOMTConfig as MOMTConfig
from gnnpot.sampling.protocol import Sampler as Sampler
from gnnpot.sampling.run import sample as sample
from gnnpot.sampling.spring import SpringCalculator as SpringCalculator
from gnnpot.sampling.steered import SteeredConfig as SteeredConfig

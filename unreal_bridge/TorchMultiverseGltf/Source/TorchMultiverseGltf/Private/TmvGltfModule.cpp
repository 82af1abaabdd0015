// Reads glTF files at run time with the plugin glTFRuntime: all meshes of a file's scene as one static mesh.
#include "CoreMinimal.h"
#include "Engine/StaticMesh.h"
#include "Features/IModularFeatures.h"
#include "Modules/ModuleInterface.h"
#include "Modules/ModuleManager.h"
#include "glTFRuntimeAsset.h"
#include "glTFRuntimeFunctionLibrary.h"

#include "TmvMeshSource.h"

namespace
{
	class FTmvGltfSource final : public ITmvMeshSource
	{
	public:
		virtual UStaticMesh* Load(const FString& File, FString& OutError) override
		{
			UglTFRuntimeAsset* Asset =
				UglTFRuntimeFunctionLibrary::glTFLoadAssetFromFilename(File, false, FglTFRuntimeConfig());
			UStaticMesh* Mesh =
				Asset ? Asset->LoadStaticMeshRecursive(FString(), TArray<FString>(), FglTFRuntimeStaticMeshConfig()) : nullptr;
			if (Mesh == nullptr)
			{
				OutError = TEXT("the glTF file cannot be read as a mesh");
			}
			return Mesh;
		}
	};

	class FTmvGltfModule final : public IModuleInterface
	{
	public:
		virtual void StartupModule() override
		{
			IModularFeatures::Get().RegisterModularFeature(ITmvMeshSource::FeatureName(), &Source);
		}

		virtual void ShutdownModule() override
		{
			IModularFeatures::Get().UnregisterModularFeature(ITmvMeshSource::FeatureName(), &Source);
		}

	private:
		FTmvGltfSource Source;
	};
}

IMPLEMENT_MODULE(FTmvGltfModule, TorchMultiverseGltf)
